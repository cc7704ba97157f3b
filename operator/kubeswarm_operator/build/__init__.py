"""Pure builders: one object a file, from a Node's spec to the manifest that server-side apply is given."""
