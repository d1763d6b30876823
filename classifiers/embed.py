#!/usr/bin/env python3
"""Writes the tables of this folder as a C file: embed.py OUTPUT NAME.yaml..."""
import pathlib
import sys


def main(output, files):
    texts, rows, names = [], [], []
    for file in map(pathlib.Path, files):
        data = file.read_bytes()
        lines = [data[i:i + 20] for i in range(0, len(data), 20)]
        body = "".join("\t" + " ".join(f"{byte}," for byte in line) + "\n" for line in lines)
        texts.append(f"static const unsigned char {file.stem}[] = {{\n{body}}};\n")
        rows.append(f'\t{{ "{file.stem}", {file.stem}, sizeof {file.stem} }},\n')
        names.append(f'\t"{file.stem}",\n')
    pathlib.Path(output).write_text(
        '#include "classifiers/builtin.h"\n#include "classifiers/classifier.h"\n\n' + "\n".join(texts)
        + "\nconst struct classifier_builtin classifier_builtins[] = {\n" + "".join(rows) + "\t{ 0 },\n};\n"
        + "\nconst char *const classifier_builtin_names[] = {\n" + "".join(names) + "\tNULL,\n};\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
