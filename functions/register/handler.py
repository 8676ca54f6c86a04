"""`register` accepts what is asked over HTTP: each route of its declaration is one name here."""

from functions._domain.submissions import (
    add_files,
    cancel,
    complete_files,
    import_model,
    open_upload,
    push_image,
    register_dataset,
    register_model,
    request_translation,
    request_verification,
    retry,
)

__all__ = [
    "add_files",
    "cancel",
    "complete_files",
    "import_model",
    "open_upload",
    "push_image",
    "register_dataset",
    "register_model",
    "request_translation",
    "request_verification",
    "retry",
]
