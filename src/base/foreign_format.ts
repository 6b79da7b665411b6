/** A format that people have in a file's place, known by its beginning. */
interface ForeignFormat {
  /** Its name. */
  format: string;
  /** The cure. */
  cure: string;
}

const CONVERT = "convert the model to safetensors";

const FORMATS: readonly (ForeignFormat & { begins: string })[] = [
  {
    begins: "version https://git-lfs",
    format: "a pointer of Git LFS",
    cure: "fetch the file itself: git lfs pull",
  },
  { begins: "PK\x03\x04", format: "an archive of PyTorch or NumPy", cure: CONVERT },
  { begins: "\x80\x02\x8a\x0a", format: "a pickle of PyTorch", cure: CONVERT },
  {
    begins: "GGUF",
    format: "a model of llama.cpp",
    cure: "get the safetensors that it was made of",
  },
  { begins: "24ka", format: "a newer layout of llama2.c", cure: "export it with --version 0" },
  ...["<!DOCTYPE", "<!doctype", "<html"].map((begins) => ({
    ...{ begins, format: "a web page", cure: "fetch the file itself" },
  })),
];

/** Bytes of a beginning that tell formats apart. */
export const FORMAT_BYTES = 32;

/** The format of a file or a text, by its first characters or bytes; undefined if it is none of the known. */
export function foreignFormat(beginning: string | Uint8Array): ForeignFormat | undefined {
  const text = typeof beginning === "string"
    ? beginning.slice(0, FORMAT_BYTES)
    : String.fromCharCode(...beginning.subarray(0, FORMAT_BYTES));
  return FORMATS.find(({ begins }) => text.startsWith(begins));
}
