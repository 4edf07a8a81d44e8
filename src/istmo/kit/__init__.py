"""What every face is made of: page shell, forms, tables, translation, signed requests."""
