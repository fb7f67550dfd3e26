import { randomInt } from 'node:crypto'
import { Secret } from '../secret.ts'

const LOWER = 'abcdefghijklmnopqrstuvwxyz'
const UPPER = LOWER.toUpperCase()
const DIGITS = '0123456789'

/** Kinds of characters of each alphabet; a generated secret has at least one of every kind, as many registries demand. */
const ALPHABETS = {
  alphanumeric: [LOWER, UPPER, DIGITS],
  /** With signs that need no quoting in URLs, JSON and shells. */
  signs: [LOWER, UPPER, DIGITS, '-._~'],
  hex: [DIGITS, 'abcdef'],
} as const

export type SecretShape = { length: number; alphabet: keyof typeof ALPHABETS }

export const alphabets = Object.keys(ALPHABETS) as (keyof typeof ALPHABETS)[]
export const SECRET_LENGTH = { min: 20, max: 128, usual: 40 }
export const usualShape: SecretShape = { length: SECRET_LENGTH.usual, alphabet: 'alphanumeric' }

/** A new secret of that shape, of the system's own randomness: each character is as likely as any other, but for the one of each kind. */
export function generateSecret({ length, alphabet }: SecretShape): Secret {
  const kinds: readonly string[] = ALPHABETS[alphabet]
  const all = kinds.join('')
  const characters = Array.from({ length }, (_, index) => pick(kinds[index] ?? all))
  // Fisher and Yates, so that nobody knows where the one of each kind stands.
  for (let last = characters.length - 1; last > 0; last -= 1) {
    const other = randomInt(last + 1)
    const kept = characters[last] as string
    characters[last] = characters[other] as string
    characters[other] = kept
  }
  return new Secret(characters.join(''))
}

function pick(from: string): string {
  return from.charAt(randomInt(from.length))
}
