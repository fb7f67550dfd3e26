import { spawnSync } from 'node:child_process'

/** Why no pseudo-terminal can be had; `false` where one can. Throws in CI, which skips nothing. */
export function skipWithoutTerminal(): false | string {
  if (spawnSync('script', ['--version']).status === 0) return false
  const reason = 'script(1) of util-linux is not installed'
  if (process.env['CI'] === 'true') throw new Error(`CI skips nothing: ${reason}`)
  return reason
}
