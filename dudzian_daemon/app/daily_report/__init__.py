"""The daily report: numbers from the journal alone, the package of three files, the document for people, mail and archive."""
