"""Writes decoded.json: what Hugging Face's tokenizers make of tokens, with each decoder.

pip install tokenizers==0.23.2 && python decoded.py > decoded.json
"""

import json
import random
import sys

from tokenizers import Tokenizer

SPECIAL = ["<unk>", "<s>", "</s>"]
ADDED = ["<tool>", "  "]
BYTES = ["<0xE2>", "<0x82>", "<0xAC>", "<0xEF>", "<0xBB>", "<0xBF>", "<0x20>"]
WORDS = ["▁", "▁▁", "▁ab", "ab", "a▁b", "▁é", "Ġab", "Ċ", "âĤ¬", "ï»¿", "c</w>", "##d", ".", "n't", "do", "語"]
SPLIT = ["âĤ", "¬"]
TOKENS = SPECIAL + BYTES + WORDS + SPLIT + ADDED
UNUSED = [40, 41]

LLAMA = [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "ByteFallback"},
    {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
]
DECODERS = {
    "Llama": {"type": "Sequence", "decoders": LLAMA},
    "Gemma": {"type": "Sequence", "decoders": LLAMA[:3]},
    "Strip of two": {"type": "Sequence", "decoders": LLAMA[:3] + [{**LLAMA[3], "start": 2}]},
    "Strip at the end": {"type": "Sequence", "decoders": LLAMA[:3] + [{**LLAMA[3], "stop": 2}]},
    "ByteLevel": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "Metaspace": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    "Metaspace, first": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
    "Metaspace, never": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False},
    "Metaspace of old": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True},
    "Metaspace and bytes": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}]},
    "BPEDecoder": {"type": "BPEDecoder", "suffix": "</w>"},
    "WordPiece": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    "WordPiece, as it is": {"type": "WordPiece", "prefix": "##", "cleanup": False},
    "Replace": {"type": "Replace", "pattern": {"String": "ab"}, "content": "$&$1"},
    "Replace by pattern": {"type": "Replace", "pattern": {"Regex": "[ab]+"}, "content": "$0x"},
    "none": None,
}


def tokenizer(decoder):
    added = [(token, True) for token in SPECIAL] + [(token, False) for token in ADDED]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": TOKENS.index(token), "content": token, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": special}
            for token, special in added
        ],
        "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": decoder,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True,
            "vocab": {token: id for id, token in enumerate(TOKENS)}, "merges": [],
        },
    }


def draw(kind):
    """Tokens whose bytes are UTF-8 once those without text are taken out: what is not decodes in other words elsewhere."""
    id = TOKENS.index
    groups = [[id(word)] for word in WORDS + ADDED]
    groups += [[id("<0xE2>"), id("<0x82>"), id("<0xAC>")], [id("<0xEF>"), id("<0xBB>"), id("<0xBF>")], [id("<0x20>")]]
    if kind == "ByteLevel":
        groups += [[id("âĤ"), id("¬")]]
    tokens = []
    for group in random.choices(groups, k=random.randint(1, 24)):
        for token in group:
            while random.random() < 0.2:
                tokens.append(random.choice([0, 1, 2] + UNUSED))
            tokens.append(token)
    return tokens


def main():
    random.seed(7)
    kinds = []
    for kind, decoder in DECODERS.items():
        made = Tokenizer.from_str(json.dumps(tokenizer(decoder)))
        cases = [(tokens, made.decode(tokens)) for tokens in (draw(kind) for _ in range(8))]
        kinds.append({"kind": kind, "decoder": decoder, "cases": cases})
    json.dump({"tokens": TOKENS, "special": SPECIAL, "added": ADDED, "kinds": kinds}, sys.stdout, ensure_ascii=True)


main()
