import { styleText } from 'node:util'
import { type Cell, table } from '../../src/cli/table.ts'
import type { Paint } from '../../src/cli/terminal.ts'

/** Writes what the demo does, in the order in which it does it. */
export type Screen = {
  paint: Paint
  /** How many steps have held. */
  held(): number
  heading(title: string): void
  /**
   * Does one step and writes one line with a tick and its time: the text that `work` gives. While it runs a terminal shows
   * `doing`. A step that throws gets a cross and its reason, and the error goes on.
   */
  step(doing: string, work: () => string | Promise<string>): Promise<void>
  /** A command as the user would type it; more lines are its continuation. */
  command(text: string): void
  /** What a part said, or a remark. */
  note(text: string): void
  /** What is left out here, and why. */
  skipped(text: string): void
  table(head: string[], rows: Cell[][]): void
  /** As it stands. */
  text(text: string): void
}

type ScreenOptions = { colourful: boolean; live: boolean; columns: number }

const INDENT = '  '
const UNDER_TEXT = ' '.repeat(12)

/** No step begins once `signal` aborts, and one that it ends is passed over without a word. */
export function createScreen(
  write: (text: string) => void,
  { colourful, live, columns }: ScreenOptions,
  signal: AbortSignal,
): Screen {
  const paint: Paint = colourful
    ? (tone, text) => styleText(tone, text, { validateStream: false })
    : (_tone, text) => text
  let held = 0
  const line = (text: string) => write(`${text}\n`)
  const clear = () => {
    if (live) write('\r\u001b[2K')
  }
  return {
    paint,
    held: () => held,
    heading: (title) => line(`\n${paint('bold', title)}`),
    async step(doing, work) {
      signal.throwIfAborted()
      if (live) write(`${INDENT}${paint('dim', `…        ${doing}`.slice(0, columns - INDENT.length - 1))}`)
      const startedMs = performance.now()
      try {
        const done = await work()
        signal.throwIfAborted()
        held += 1
        clear()
        line(`${INDENT}${paint('green', '✓')} ${paint('dim', seconds(startedMs))}  ${done}`)
      } catch (thrown) {
        clear()
        if (signal.aborted) throw thrown
        line(`${INDENT}${paint('red', '✗')} ${paint('dim', seconds(startedMs))}  ${doing}`)
        for (const reason of reasonsOf(thrown)) line(`${UNDER_TEXT}${paint('red', reason)}`)
        throw thrown
      }
    },
    command: (text) => {
      const [first = '', ...more] = text.split('\n')
      line(`${UNDER_TEXT}${paint('dim', `$ ${first}`)}`)
      for (const one of more) line(`${UNDER_TEXT}${paint('dim', `    ${one.trim()}`)}`)
    },
    note: (text) => {
      for (const one of text.split('\n')) line(`${UNDER_TEXT}${one}`)
    },
    skipped: (text) => line(`${INDENT}${paint('yellow', '–')}         ${text}`),
    table: (head, rows) => {
      line('')
      for (const one of table(head, rows, paint).split('\n')) line(`${INDENT}  ${one}`)
      line('')
    },
    text: (text) => {
      clear()
      line(text)
    },
  }
}

function seconds(startedMs: number): string {
  return `${((performance.now() - startedMs) / 1000).toFixed(1).padStart(4)} s`
}

/** The message and its causes' messages, each its own line. */
export function reasonsOf(thrown: unknown): string[] {
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  const cause = thrown instanceof Error && thrown.cause !== undefined ? reasonsOf(thrown.cause) : []
  return [...message.split('\n').filter((one) => one.trim() !== ''), ...cause]
}
