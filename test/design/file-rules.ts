import type { Sources } from './rooms.ts'

const MAX_LINES = 250
const KEBAB_CASE = /^(?:[a-z0-9]+(?:-[a-z0-9]+)*\/)*[a-z0-9]+(?:-[a-z0-9]+)*\.ts$/
/** Names that say nothing of what is inside, and files that only pass on what others hold. */
const EMPTY_NAME = /(?:^|\/)(?:utils?|helpers?|types|index|common|misc|shared|lib)(?:\.ts$|\/)/
const COMMENT_LINE = /^[ \t]*(?:\/\/|\/\*|\*).*$/gm
const RE_EXPORT = /^export (?:type )?(?:\*(?: as \w+)?|\{[^}]*\}) from ['"][^'"]+['"];?$/gm

/** What a file under src/ has against the house rules, one sentence each. */
export function fileViolations(sources: Sources): string[] {
  return [...sources].flatMap(([path, text]) => {
    const lines = text.split('\n').length - 1
    return [
      ...(lines > MAX_LINES
        ? [`src/${path} has ${lines} lines, more than ${MAX_LINES}: which two things live there?`]
        : []),
      ...(KEBAB_CASE.test(path) ? [] : [`src/${path} is not named in kebab-case and .ts`]),
      ...(EMPTY_NAME.test(path) ? [`src/${path} has a name that says nothing`] : []),
      ...(isBarrel(text) ? [`src/${path} only passes on what others hold`] : []),
    ]
  })
}

function isBarrel(text: string): boolean {
  const code = text.replace(COMMENT_LINE, '')
  return code.trim() !== '' && code.replace(RE_EXPORT, '').trim() === ''
}
