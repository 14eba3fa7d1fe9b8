"""Binary and text formats that messages carry."""
