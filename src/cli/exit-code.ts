import { CommanderError } from 'commander'
import { RegcreddError } from '../errors.ts'
import { Refusal } from './refusal.ts'

/** What the process ends with, from BSD's sysexits.h where it has a word for it. docs/cli.md promises these to scripts. */
export const exitCodes = {
  ok: 0,
  /** The daemon answered with an error, a rotation was aborted, or `serve` failed. */
  refused: 1,
  /** A rotation is stuck: somebody must resolve it. */
  stuck: 2,
  usage: 64,
  unreachable: 69,
  internal: 70,
  /** A rotation has not come to its end in the time that was waited; it goes on. */
  unfinished: 75,
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
