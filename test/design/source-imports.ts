import { posix } from 'node:path'

/** `computed`: an import of something that is no literal, which no table could judge. */
export type Import = { specifier: string; computed?: true }

const PATTERNS = [
  /^[ \t]*(?:import|export)\b(?:[^'"`;]*?\bfrom)?\s*['"]([^'"]+)['"]/gm,
  /\bimport\s*\(\s*(?:['"`]([^'"`]+)['"`]|[^)])/g,
  /\brequire(?:\.resolve)?\s*\(\s*(?:['"`]([^'"`]+)['"`]|[^)])/g,
  /\bimport\.meta\.resolve\s*\(\s*(?:['"`]([^'"`]+)['"`]|[^)])/g,
  // How a process of its own is started: fork(new URL('./os-helper.ts', import.meta.url)).
  /\bnew URL\s*\(\s*['"`](\.[^'"`]+)['"`]\s*,\s*import\.meta\.url/g,
]

/**
 * Everything that a file imports, types and dynamic imports included, which the bundler's view would miss. Reads text, not a syntax tree:
 * it may see too much (an import within a string), and a test holds it against esbuild so that it does not see too little.
 */
export function importsOf(text: string): Import[] {
  const code = withoutCommentLines(text)
  return PATTERNS.flatMap((pattern) =>
    [...code.matchAll(pattern)].map((match): Import => {
      const specifier = match[1]
      return specifier === undefined || specifier.includes('${')
        ? { specifier: match[0], computed: true }
        : { specifier }
    }),
  )
}

/** Whether the code names `reveal`, however it gets at it: a call, a destructuring, a key in brackets. */
export function reveals(text: string): boolean {
  return /\breveal\b/.test(withoutCommentLines(text))
}

/** The path below src/ that a relative specifier means; it begins with `..` where it leaves src. */
export function resolveWithin(importer: string, specifier: string): string {
  return posix.normalize(posix.join(posix.dirname(importer), specifier))
}

function withoutCommentLines(text: string): string {
  return text.replace(/^[ \t]*(?:\/\/|\/\*|\*).*$/gm, '')
}
