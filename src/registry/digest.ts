const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/

/** Whether the text is a digest of a registered algorithm with exactly its length in lower-case hex (image-spec, descriptor § Digests). */
export function isDigest(text: string): boolean {
  return DIGEST.test(text)
}
