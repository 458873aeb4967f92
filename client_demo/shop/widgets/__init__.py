"""The building blocks of every screen. Each takes the `Ui` first and reads it once, when it is made."""

from client_demo.shop.widgets.boxes import (
    Card,
    Column,
    Divider,
    Fill,
    Gap,
    Grid,
    Row,
    Scrim,
    Scroll,
    Surface,
    Tile,
)
from client_demo.shop.widgets.controls import (
    Button,
    Chip,
    IconButton,
    ListRow,
    Pressable,
    Stepper,
    Swatch,
    Switch,
    TextField,
)
from client_demo.shop.widgets.feedback import Badge, EmptyState, Notice, Progress, QrCode, Skeleton
from client_demo.shop.widgets.text import Icon, Text

__all__ = [
    "Badge",
    "Button",
    "Card",
    "Chip",
    "Column",
    "Divider",
    "EmptyState",
    "Fill",
    "Gap",
    "Grid",
    "Icon",
    "IconButton",
    "ListRow",
    "Notice",
    "Pressable",
    "Progress",
    "QrCode",
    "Row",
    "Scrim",
    "Scroll",
    "Skeleton",
    "Stepper",
    "Surface",
    "Swatch",
    "Switch",
    "Text",
    "TextField",
    "Tile",
]
