import { posix } from 'node:path'

export type Documents = Map<string, string>

const LINK = /\[(?:[^\]\\]|\\.)*\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g
/** A path of the repository in code font is a promise too. */
const NAMED_PATH = /`((?:src|test|docs|systemd|bench|kubernetes|packaging)\/[\w./-]+\.\w+)`/g

/** Links and paths in `documents` (path → text) that lead nowhere. `exists` tells of paths below the root. */
export function deadLinks(documents: Documents, exists: (path: string) => boolean): string[] {
  return [...documents].flatMap(([from, text]) => {
    const prose = text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '')
    const links = [...prose.replace(/`[^`\n]*`/g, '').matchAll(LINK)].map(([, target = '']) => target)
    const named = [...prose.matchAll(NAMED_PATH)].map(([, path = '']) => path)
    return [
      ...links
        .filter((target) => isDead(from, target, documents, exists))
        .map((target) => `${from} links to ${target}`),
      ...named.filter((path) => !exists(path)).map((path) => `${from} names ${path}`),
    ]
  })
}

/** The anchors that GitHub gives a document's headings. */
export function anchorsOf(markdown: string): Set<string> {
  const headings = markdown.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').match(/^#{1,6} .*$/gm) ?? []
  const slugs = headings.map((heading) => {
    const text = heading.replace(/^#+ /, '').toLowerCase()
    return text
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-')
  })
  return new Set(
    slugs.map((slug, index) => {
      const earlier = slugs.slice(0, index).filter((other) => other === slug).length
      return earlier === 0 ? slug : `${slug}-${earlier}`
    }),
  )
}

function isDead(from: string, target: string, documents: Documents, exists: (path: string) => boolean): boolean {
  if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return false
  const [path = '', anchor] = target.split('#')
  const resolved = path === '' ? from : posix.normalize(posix.join(posix.dirname(from), decodeURIComponent(path)))
  if (resolved.startsWith('..') || !exists(resolved)) return true
  const markdown = documents.get(resolved)
  return anchor !== undefined && markdown !== undefined && !anchorsOf(markdown).has(anchor)
}
