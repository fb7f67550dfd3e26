/** One `WWW-Authenticate` challenge of a kind that we can answer. */
export type BearerChallenge = {
  scheme: 'bearer'
  realm: string
  service: string | undefined
  scope: string | undefined
  error: string | undefined
}
export type BasicChallenge = { scheme: 'basic'; realm: string | undefined }
export type Challenge = BearerChallenge | BasicChallenge

const MAX_TOTAL_LENGTH = 8 * 1024
// Sticky expressions without nested repetition: the scan never goes back further than one token.
const SEPARATORS = /[\s,]*/y
const SPACES = /[ \t]*/y
const TOKEN = /[A-Za-z0-9!#$%&'*+.^_`|~-]+/y
const TOKEN68 = /[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)/y
const QUOTED = /"((?:[^"\\]|\\.)*)"/sy
const UNQUOTED = /([^\s,"]*)/y
const END_OF_VALUE = /(?=[\s,]|$)/y

/**
 * Reads all `WWW-Authenticate` lines (RFC 9110 § 11.6.1), each of which may hold several challenges: after a comma, `name =` is a
 * parameter and anything else a new scheme. Bearer and Basic are given, in order; other schemes and challenges that are not
 * well-formed (quote left open, `realm` twice, Bearer without realm) are left out. Lines past 8 KiB in all are not read. Never throws.
 */
export function parseChallenges(headerLines: string[]): Challenge[] {
  let budget = MAX_TOTAL_LENGTH
  return headerLines.flatMap((line) => {
    budget -= line.length
    return budget < 0 ? [] : parseLine(line)
  })
}

/** The challenge to answer: Bearer before Basic. */
export function chooseChallenge(challenges: Challenge[]): Challenge | undefined {
  return challenges.find(({ scheme }) => scheme === 'bearer') ?? challenges.find(({ scheme }) => scheme === 'basic')
}

type Scanner = { text: string; position: number }
type Parameters = { values: Map<string, string>; wellFormed: boolean }

function parseLine(line: string): Challenge[] {
  const scanner = { text: line, position: 0 }
  const challenges: Challenge[] = []
  for (;;) {
    take(scanner, SEPARATORS)
    const scheme = take(scanner, TOKEN)?.[0]
    if (scheme === undefined) return challenges
    const { values, wellFormed } = parseParameters(scanner)
    const challenge = wellFormed ? toChallenge(scheme.toLowerCase(), values) : undefined
    if (challenge !== undefined) challenges.push(challenge)
  }
}

function parseParameters(scanner: Scanner): Parameters {
  const values = new Map<string, string>()
  if (take(scanner, TOKEN68) !== undefined) return { values, wellFormed: true }
  let wellFormed = true
  for (;;) {
    take(scanner, SEPARATORS)
    const start = scanner.position
    const name = take(scanner, TOKEN)?.[0].toLowerCase()
    take(scanner, SPACES)
    if (name === undefined || scanner.text[scanner.position] !== '=') {
      scanner.position = start
      return { values, wellFormed }
    }
    scanner.position += 1
    take(scanner, SPACES)
    const value = takeValue(scanner)
    if (value === undefined || (name === 'realm' && values.has('realm'))) wellFormed = false
    else if (!values.has(name)) values.set(name, value)
  }
}

function takeValue(scanner: Scanner): string | undefined {
  const isQuoted = scanner.text[scanner.position] === '"'
  const value = take(scanner, isQuoted ? QUOTED : UNQUOTED)?.at(-1)
  if (value === undefined || take(scanner, END_OF_VALUE) === undefined) {
    // Where it should have ended cannot be known, so nothing after it is believed.
    scanner.position = scanner.text.length
    return undefined
  }
  return isQuoted ? value?.replace(/\\(.)/gs, '$1') : value
}

function take(scanner: Scanner, expression: RegExp): RegExpExecArray | undefined {
  expression.lastIndex = scanner.position
  const found = expression.exec(scanner.text)
  if (found === null) return undefined
  scanner.position = expression.lastIndex
  return found
}

function toChallenge(scheme: string, values: Map<string, string>): Challenge | undefined {
  const realm = values.get('realm')
  if (scheme === 'basic') return { scheme, realm }
  if (scheme !== 'bearer' || realm === undefined || realm === '') return undefined
  return {
    scheme,
    realm,
    service: values.get('service'),
    scope: values.get('scope'),
    error: values.get('error'),
  }
}
