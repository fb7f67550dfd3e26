import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const UNIT = join(import.meta.dirname, '../systemd/regcredd.service')
/** What the installed starter calls, with Node's flags in between. */
const STARTER = /^# +exec \/usr\/lib\/regcredd\/node (.*) \/usr\/lib\/regcredd\/regcredd\.mjs "\$@"$/m
const ENVIRONMENT = /^Environment=(\w+)=(\S+)$/gm

/** With which flags of Node and in which environment an installed daemon runs: what the bench measures. */
export type AsInstalled = { nodeFlags: string[]; environment: Record<string, string> }

/** Reads them from the unit and the starter at its head, the one place that they are set. */
export function asInstalled(): AsInstalled {
  const unit = readFileSync(UNIT, 'utf8')
  const flags = STARTER.exec(unit)?.[1]
  if (flags === undefined) throw new Error('systemd/regcredd.service does not show the starter')
  const environment = Object.fromEntries([...unit.matchAll(ENVIRONMENT)].map(([, name, value]) => [name, value]))
  return { nodeFlags: flags.split(' '), environment }
}

/** For `startDaemon`: the same program, with these flags. */
export function startedAs({ nodeFlags, environment }: AsInstalled): { wrap: string[]; env: Record<string, string> } {
  return { wrap: ['/bin/sh', '-c', `node=$1; shift; exec "$node" ${nodeFlags.join(' ')} "$@"`, 'sh'], env: environment }
}
