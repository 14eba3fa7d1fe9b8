"""The HTTP hook: a back end in any language decides, by signed JSON documents."""
