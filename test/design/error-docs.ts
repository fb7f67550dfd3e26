export type Catalogue = Record<string, { status: number }>

const SECTION = /^### (.+)\n([\s\S]*?)(?=^#{2,3} |$(?![\s\S]))/gm

/** In what docs/errors.md and the catalogue disagree, one sentence each. */
export function errorDocViolations(markdown: string, catalogue: Catalogue): string[] {
  const sections = [...markdown.matchAll(SECTION)].map(([, code = '', body = '']) => ({
    code: code.trim(),
    body: body.trim(),
  }))
  const documented = sections.map(({ code }) => code)
  return [
    ...Object.keys(catalogue)
      .filter((code) => !documented.includes(code))
      .map((code) => `${code} is not documented`),
    ...documented
      .filter((code, index) => documented.indexOf(code) !== index)
      .map((code) => `${code} is documented twice`),
    ...sections.flatMap(({ code, body }) => sectionViolations(code, body, catalogue[code])),
  ]
}

function sectionViolations(code: string, body: string, entry: { status: number } | undefined): string[] {
  if (entry === undefined) return [`${code} is documented and not in the catalogue`]
  const [meaning = '', advice = ''] = body.split('**Do:**')
  const status = Number(/^\d{3}/.exec(meaning)?.[0])
  return [
    ...(status === entry.status ? [] : [`${code} is documented with status ${status} and has ${entry.status}`]),
    ...(meaning.replace(/^[^.]*\./, '').trim().length > 20 ? [] : [`${code} does not say what it means`]),
    ...(advice.trim().length > 10 ? [] : [`${code} does not say what to do`]),
  ]
}
