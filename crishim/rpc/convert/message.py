"""How the messages of an answer are written: as their fields by name, and messages within them likewise.

protobuf makes a message of such a dict where it belongs. One that is made first is encoded, decoded into its place and
thrown away: that takes twice as long, and an answer about a hundred containers holds thousands of them.
As in a constructor None leaves a field out; a name that the message does not have raises ValueError.
"""

from __future__ import annotations

from typing import Any

Fields = dict[str, Any]
