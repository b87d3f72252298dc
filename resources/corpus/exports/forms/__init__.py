"""The forms of exports, by name: each is one module, and knows what its readers expect."""

from __future__ import annotations

from resources.corpus.exports.forms.coco import Coco
from resources.corpus.exports.forms.fiftyone import FiftyOne
from resources.corpus.exports.forms.form import Form
from resources.corpus.exports.forms.hub import Hub
from resources.corpus.exports.forms.internvid_lines import InternVidLines
from resources.corpus.exports.forms.lance_table import LanceTable
from resources.corpus.exports.forms.llava import Llava
from resources.corpus.exports.forms.tables import Tables
from resources.corpus.exports.forms.web_dataset import WebDataset

FORMS: dict[str, Form] = {
    form.name: form
    for form in (InternVidLines(), Hub(), WebDataset(), LanceTable(), Llava(), FiftyOne(), Tables(), Coco())
}


def form_named(name: str) -> Form:
    """Returns the form. Raises ValueError that lists the forms there are."""
    if name not in FORMS:
        raise ValueError(f"there is no form {name!r}; there are {', '.join(FORMS)}")
    return FORMS[name]
