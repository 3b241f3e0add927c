"""The live page: plain HTML, CSS, SVG and JavaScript, served as they are."""
