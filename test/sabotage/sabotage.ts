/**
 * Proves that the tests bite: breaks one listed line of the source at a time, in a copy, and expects the named test to fail.
 * `npm run sabotage`, `npm run sabotage -- --only PART-OF-NAME`, `-- --json`. Exit code 1 if any break goes unnoticed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Break } from './break.ts'
import { breaks } from './breaks.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const COPIED = [
  'src',
  'test',
  'docs',
  'systemd',
  'kubernetes',
  'hooks',
  'bench',
  'package.json',
  'tsconfig.json',
  'config.example.json',
]
const COPIED_TEXTS = ['ARCHITECTURE.md', 'README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'build.mjs']
const TIME_LIMIT_MS = 180_000

const running = new Set<ChildProcess>()
process.on('exit', () => running.forEach(killGroup))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

function killGroup({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, 'SIGKILL')
}

type Result = { name: string; found: boolean; detail: string; seconds: number }

async function copyTree(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-sabotage-'))
  for (const name of [...COPIED, ...COPIED_TEXTS]) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

/** Whether that one test ran in `folder`, and how it went. */
async function runTest(
  folder: string,
  { testFile, test }: Break,
): Promise<'passed' | 'failed' | 'did not run' | 'took too long'> {
  const pattern = `^${test.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')}$`
  const args = [
    '--disable-warning=DEP0060',
    '--import=./test/helpers/end-in-time.ts',
    '--test',
    '--test-reporter=tap',
    `--test-name-pattern=${pattern}`,
    testFile,
  ]
  // A test run inside a test run would report to the outer one.
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined }
  // A group of its own: killed alone, the runner would leave the process that runs the file.
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  })
  let output = ''
  child.stdout.on('data', (piece: Buffer) => {
    output += piece
  })
  running.add(child)
  const timer = setTimeout(() => killGroup(child), TIME_LIMIT_MS)
  const signal = await new Promise<NodeJS.Signals | null>((resolve) => child.on('close', (_code, how) => resolve(how)))
  clearTimeout(timer)
  running.delete(child)
  if (signal === 'SIGKILL') return 'took too long'
  const line = output.split('\n').find((text) => /^\s*(not )?ok \d+ - /.test(text) && tapName(text) === test)
  if (line !== undefined) return line.trimStart().startsWith('not ok') ? 'failed' : 'passed'
  // A source file that no longer loads fails the test file as a whole, which proves nothing of the test.
  return 'did not run'
}

function tapName(line: string): string {
  return line
    .replace(/^\s*(not )?ok \d+ - /, '')
    .replace(/ # (SKIP|TODO).*$/, '')
    .replace(/\\([#\\])/g, '$1')
}

async function sabotage(broken: Break): Promise<Result> {
  const started = performance.now()
  const result = (found: boolean, detail: string) => ({
    name: broken.name,
    found,
    detail,
    seconds: (performance.now() - started) / 1000,
  })
  const folder = await copyTree()
  try {
    const file = join(folder, broken.file)
    const text = await readFile(file, 'utf8')
    const lines = text.split('\n')
    const places = lines.flatMap((line, place) => (line.trim() === broken.line.trim() ? [place] : []))
    if (places.length !== 1)
      return result(false, `the line stands ${places.length} times in ${broken.file}; it must stand there once`)
    const whole = await runTest(folder, broken)
    if (whole !== 'passed') return result(false, `unbroken, the test ${whole}`)
    lines[places[0] ?? 0] = broken.instead
    await writeFile(file, lines.join('\n'))
    const seen = await runTest(folder, broken)
    return result(seen === 'failed' || seen === 'took too long', `broken, the test ${seen}`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const { values } = parseArgs({ options: { only: { type: 'string' }, json: { type: 'boolean', default: false } } })
const chosen = breaks.filter(({ name }) => values.only === undefined || name.includes(values.only))
const results: Result[] = []
const queue = [...chosen]
const width = Math.max(...chosen.map(({ name }) => name.length))
await Promise.all(
  Array.from({ length: 2 }, async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const result = await sabotage(next)
      results.push(result)
      if (!values.json) {
        console.log(
          `${result.found ? 'found ' : 'MISSED'}  ${result.name.padEnd(width)}  ${result.seconds.toFixed(1).padStart(5)} s  ${result.detail}`,
        )
      }
    }
  }),
)
const missed = results.filter(({ found }) => !found)
if (values.json) console.log(JSON.stringify({ results, found: results.length - missed.length, missed: missed.length }))
else console.log(`${results.length - missed.length} of ${results.length} breaks found`)
process.exitCode = missed.length === 0 && results.length > 0 ? 0 : 1
