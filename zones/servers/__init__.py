"""The life of a server in this zone: boot, act, delete, news. API and peers call the same functions."""
