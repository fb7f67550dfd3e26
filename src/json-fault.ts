/** Where a text stops being the JSON that we read, counted from 1. The message never holds a piece of the text. */
export type JsonFault = { line: number; column: number; message: string; hint: string | undefined }

type Scanner = { text: string; at: number }

const MAX_DEPTH = 64
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const LITERAL = /true|false|null/y
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const SPACE = /[ \t\n\r]*/y

/**
 * Finds the first place where `text` is not JSON (RFC 8259), or where a key stands in an object for the second time.
 * `JSON.parse` keeps the last of two equal keys in silence, puts pieces of the text into its message, and does not always tell the place.
 */
export function findJsonFault(text: string): JsonFault | undefined {
  const scanner = { text, at: 0 }
  try {
    skipSpace(scanner)
    value(scanner, 0)
    skipSpace(scanner)
    if (scanner.at < text.length) throw new Fault(scanner, 'the text goes on after the end of the value')
    return undefined
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown
    const before = text.slice(0, thrown.at)
    return {
      line: before.split('\n').length,
      column: thrown.at - before.lastIndexOf('\n'),
      message: thrown.message,
      hint: hintAt(text, thrown.at),
    }
  }
}

function value(scanner: Scanner, depth: number): void {
  if (depth > MAX_DEPTH) throw new Fault(scanner, `values are nested deeper than ${MAX_DEPTH}`)
  const next = scanner.text[scanner.at]
  if (next === '{') members(scanner, '}', () => member(scanner, depth))
  else if (next === '[') members(scanner, ']', () => elementAt(scanner, depth))
  else if (next === '"') string(scanner)
  else if (take(scanner, NUMBER) === undefined && take(scanner, LITERAL) === undefined) {
    throw new Fault(scanner, next === undefined ? 'the text ends too early' : 'a value is expected here')
  }
}

/** Reads what stands between brackets; `takeOne` reads one member and gives its key, if members have keys here. */
function members(scanner: Scanner, end: string, takeOne: () => string | undefined): void {
  const keys = new Set<string>()
  scanner.at += 1
  skipSpace(scanner)
  if (scanner.text[scanner.at] === end) {
    scanner.at += 1
    return
  }
  for (;;) {
    const start = scanner.at
    const key = takeOne()
    if (key !== undefined && keys.has(key)) throw new Fault({ ...scanner, at: start }, 'this key stands here twice')
    if (key !== undefined) keys.add(key)
    skipSpace(scanner)
    const next = scanner.text[scanner.at]
    if (next !== ',' && next !== end) {
      throw new Fault(scanner, next === undefined ? 'the text ends too early' : `"," or "${end}" is expected here`)
    }
    scanner.at += 1
    if (next === end) return
    skipSpace(scanner)
  }
}

function member(scanner: Scanner, depth: number): string {
  if (scanner.text[scanner.at] !== '"') throw new Fault(scanner, 'a key in double quotes is expected here')
  const key = string(scanner)
  skipSpace(scanner)
  if (scanner.text[scanner.at] !== ':') throw new Fault(scanner, '":" is expected here')
  scanner.at += 1
  skipSpace(scanner)
  value(scanner, depth + 1)
  return key
}

function elementAt(scanner: Scanner, depth: number): undefined {
  value(scanner, depth + 1)
}

function string(scanner: Scanner): string {
  const start = scanner.at
  scanner.at += 1
  for (;;) {
    const next = scanner.text[scanner.at]
    if (next === '"') break
    if (next === undefined || next < ' ') throw new Fault(scanner, 'this string does not end')
    if (next !== '\\') scanner.at += 1
    else if (take(scanner, ESCAPE) === undefined) throw new Fault(scanner, 'this is no escape that JSON knows')
  }
  scanner.at += 1
  return JSON.parse(scanner.text.slice(start, scanner.at))
}

function skipSpace(scanner: Scanner): void {
  take(scanner, SPACE)
}

function take(scanner: Scanner, expression: RegExp): string | undefined {
  expression.lastIndex = scanner.at
  const found = expression.exec(scanner.text)?.[0]
  if (found !== undefined) scanner.at += found.length
  return found
}

function hintAt(text: string, at: number): string | undefined {
  if (text[at] === '/' || text[at] === '#') return 'JSON has no comments'
  if (text[at] === "'") return 'JSON strings stand in double quotes'
  if (text[at] === '\ufeff') return 'save the file without a byte order mark'
  return /[}\]]/.test(text[at] ?? '') && /,\s*$/.test(text.slice(0, at)) ? 'remove the comma before it' : undefined
}

class Fault extends Error {
  readonly at: number

  constructor(scanner: Scanner, message: string) {
    super(message)
    this.at = scanner.at
  }
}
