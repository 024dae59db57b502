"""CLAPSep at reduced size, trained by this project: weights that come with the package. Not the published CLAPSep."""
