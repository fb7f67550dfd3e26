import { execFileSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { findTool } from '../test/helpers/tools.ts'

/** What a figure is worth nothing without. No host name and no path: the result is published. */
export function describeMachine(): string[] {
  const processors = cpus()
  const versions = ['docker-registry', 'distribution', 'crane', 'nginx', 'wrk'].map((name) => {
    const tool = findTool(name)
    return `${name} ${'missing' in tool ? '–' : tool.version}`
  })
  return [
    `commit ${commit()}`,
    `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${release().split('-')[0]} ${process.arch}; load average before the start ${loadavg()[0]?.toFixed(1)}`,
    [`Node ${process.version.slice(1)}`, `OpenSSL ${process.versions.openssl}`, ...versions].join(', '),
  ]
}

function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  try {
    const changed = git('status', '--porcelain', '--', '../src', '../package-lock.json') !== ''
    return git('rev-parse', '--short=12', 'HEAD') + (changed ? ' with changes' : '')
  } catch {
    return 'unknown'
  }
}
