import { randomBytes } from 'node:crypto'

/** A secret that is looked for, by marks in it that occur nowhere else. */
export type Canary = { name: string; value: string; marks: string[] }

const MIN_MARK_LENGTH = 12
/** All that an encoder, a shell, a template or a terminal may stumble over. */
const AWKWARD = [`'"<>&%25+/\\`, ' §€ü漢\u{1f511} ', '$HOME`$(id)`;|']

/** A long password with awkward characters between random marks: whatever is done to it, cut off or escaped, some mark stays whole. */
export function awkwardPassword(name: string): Canary {
  const marks = [...AWKWARD, ''].map(() => randomMark())
  return { name, value: marks.map((mark, place) => mark + (AWKWARD[place] ?? '')).join(''), marks }
}

/** A canary of a secret that somebody else has made, such as a token. */
export function canaryOf(name: string, value: string): Canary {
  if (value.length < MIN_MARK_LENGTH) throw new Error(`${name} is too short to be told from other text`)
  return { name, value, marks: [value] }
}

export function randomMark(): string {
  return randomBytes(10).toString('hex')
}

/** The forms in which a mark may stand in a file, a log or a memory image. Percent-, JSON-, HTML- and shell-coding leave letters and digits as they are. */
export function needlesOf({ value, marks }: Canary): Map<string, Buffer> {
  const needles = new Map<string, Buffer>()
  const add = (form: string, needle: string | Buffer) => needles.set(form, Buffer.from(needle as string))
  for (const [place, text] of [value, ...marks].entries()) {
    const what = place === 0 ? 'whole' : `part ${place}`
    add(`${what}, raw`, text)
    add(`${what}, percent-coded`, encodeURIComponent(text))
    add(`${what}, JSON`, JSON.stringify(text).slice(1, -1))
    // V8 keeps a string so that has one character beyond Latin-1.
    add(`${what}, UTF-16`, Buffer.from(text, 'utf16le'))
    const hex = Buffer.from(text).toString('hex')
    add(`${what}, hex`, hex)
    add(`${what}, HEX`, hex.toUpperCase())
    for (const [offset, core] of base64Cores(Buffer.from(text)).entries()) {
      add(`${what}, base64 at ${offset}`, core)
      add(`${what}, base64url at ${offset}`, core.replaceAll('+', '-').replaceAll('/', '_'))
    }
  }
  return needles
}

/** What of the base64 of `bytes` does not depend on what stands before and behind them, for each of the three places where they can begin. */
function base64Cores(bytes: Buffer): string[] {
  return [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
    const whole = Math.floor(((offset + bytes.length) * 8) / 6)
    return text.slice(Math.ceil((offset * 8) / 6), whole)
  })
}
