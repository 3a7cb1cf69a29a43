"""The stylization networks: encode content and style, mix as alpha * H1 + beta * H2, decode."""
