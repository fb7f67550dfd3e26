import { styleText } from 'node:util'

export type Tone = 'bold' | 'dim' | 'green' | 'yellow' | 'red'

export type Paint = (tone: Tone, text: string) => string

/** Colours text for a terminal that can show it, and only there; NO_COLOR (no-color.org) always wins. */
export function paintFor(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Paint {
  const isColourful = stream.isTTY && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
  return isColourful ? (tone, text) => styleText(tone, text, { validateStream: false }) : (_tone, text) => text
}

/** Text from the daemon may come from a stranger's request: control and direction characters would act on the terminal. */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
