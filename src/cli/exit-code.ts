import { CommanderError } from 'commander'
import { RegcreddError } from '../errors.ts'
import { Refusal } from './refusal.ts'

/** What the process ends with, from BSD's sysexits.h where it has a word for it. docs/cli.md promises these to scripts. */
export const exitCodes = {
  ok: 0,
  /** The daemon answered with an error, a rotation was aborted, or `serve` failed. */
  refused: 1,
  usage: 64,
  unreachable: 69,
  internal: 70,
  permission: 77,
  config: 78,
} as const

export function exitCodeOf(thrown: unknown): number {
  // Help that was asked for is no error; help for want of a command is.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage
  if (thrown instanceof Refusal) return exitCodes.refused
  if (!(thrown instanceof RegcreddError)) return exitCodes.internal
  switch (thrown.code) {
    case 'USAGE':
      return exitCodes.usage
    case 'DAEMON_UNREACHABLE':
      return exitCodes.unreachable
    case 'PERMISSION_DENIED':
      return exitCodes.permission
    case 'CONFIG_INVALID':
      return exitCodes.config
    case 'INTERNAL':
      return exitCodes.internal
    default:
      return exitCodes.refused
  }
}
