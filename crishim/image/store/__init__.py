"""The images on this node: blobs, unpacked layers, records, and who still needs what.

``blobs`` and ``layers`` keep files and make them visible by renaming; ``index`` answers every question from memory;
``store`` changes files and records in an order that a crash at any point leaves consistent: files before the record
that points to them, the record away before its files. ``recover`` puts right what a crash left, at the next start.

    ROOT/blobs/sha256/HEX   whole, checked blobs          ROOT/layers/NUMBER   whole layers, one record each
    ROOT/ingest/…           blobs on their way in         ROOT/staging/…       layers being unpacked
    ROOT/trash/…            on its way out; all three are emptied at the next start
"""
