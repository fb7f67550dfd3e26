import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { scanJournal } from '../../src/rotation/journal-line.ts'
import { scenarios } from './crash-scenarios.ts'
import { memoryFolder } from './memory-folder.ts'

const child = join(import.meta.dirname, 'crash-child.ts')
const sources = join(import.meta.dirname, '../../src/rotation')
// The same few files are compiled some hundred times.
const compiled = mkdtempSync(join(memoryFolder, 'regcredd-crash-compiled-'))
after(() => rmSync(compiled, { recursive: true }))
/** Every point that some process has passed, and been killed before and after. */
const passed = new Set<string>()
const killed = new Set<string>()
const contexts = new Set<string>()
let kills = 0

type Found = {
  seq?: number
  works?: boolean
  active: number
  states: string[]
  current?: string
  accepted: string[]
}

function runChild(folder: string, scenario: string, mode: 'run' | 'resume', at: string) {
  return new Promise<{ signal: string; stdout: string }>((resolve, reject) => {
    const options = { timeout: 60_000, env: { ...process.env, NODE_COMPILE_CACHE: compiled } }
    execFile(process.execPath, [child, folder, scenario, mode, at], options, (error, stdout, stderr) => {
      if (error !== null && error.signal !== 'SIGKILL') reject(new Error(stderr || String(error)))
      else resolve({ signal: error?.signal ?? '', stdout })
    })
  })
}

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(memoryFolder, 'regcredd-crash-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

const textOf = (folder: string, name: string) => readFile(join(folder, name), 'utf8').catch(() => '')

async function pointsOf(folder: string): Promise<string[]> {
  return (await textOf(folder, 'points')).trim().split('\n')
}

/** What must hold after any crash, before anybody mends anything. */
function assertUnharmed(found: Found, lastSeq: number, { mayBeStuck }: { mayBeStuck?: true }): void {
  assert.ok(found.active <= 1, 'two rotations are under way')
  if (found.seq === undefined) return
  assert.ok(found.seq >= lastSeq, 'an acknowledged write was lost')
  if (mayBeStuck !== true) assert.equal(found.works, true, `no stored version works: ${JSON.stringify(found)}`)
}

async function assertSound(folder: string): Promise<void> {
  const journal = await readFile(join(folder, 'journal')).catch(() => Buffer.alloc(0))
  const { damaged } = scanJournal(journal)
  assert.equal(damaged, 0)
  assert.doesNotMatch(journal.toString(), /\b(?:old|new|wrong|unwanted|made)\b|third/, 'a secret in the journal')
  assert.equal(await textOf(folder, 'journal-fault'), '', 'a killed process leaves at most a torn end, and none here')
}

const never = 'never'
const nameOf = (point: string) => point.replace(/#\d+$/, '')

/** The points that the process passed which took up what the killed one had left; `undefined` where the point never came. */
async function killAndResume(scenario: string, at: string, resumedAt: string): Promise<string[] | undefined> {
  return inFolder(async (folder) => {
    const rules = scenarios[scenario] ?? assert.fail()
    if ((await runChild(folder, scenario, 'run', at)).signal !== 'SIGKILL') return undefined
    kills += 1
    killed.add(nameOf(at))
    const lastSeq = Number(await textOf(folder, 'seq'))
    const before = (await pointsOf(folder)).length
    let last = await runChild(folder, scenario, 'resume', resumedAt)
    assertUnharmed(JSON.parse(await textOf(folder, 'found')), lastSeq, rules)
    if (resumedAt !== never) {
      assert.equal(last.signal, 'SIGKILL')
      kills += 1
      killed.add(nameOf(resumedAt))
      const seq = Number(await textOf(folder, 'seq'))
      last = await runChild(folder, scenario, 'resume', never)
      assertUnharmed(JSON.parse(await textOf(folder, 'found')), seq, rules)
    }
    const end: Found = JSON.parse(last.stdout)
    assertUnharmed(end, Number(await textOf(folder, 'seq')), rules)
    await assertSound(folder)
    if (rules.mayBeStuck !== true && end.current !== undefined) {
      assert.ok(end.accepted.includes(end.current), `CURRENT does not work in the end: ${JSON.stringify(end)}`)
    }
    assert.ok(!end.states.includes('STAGED'), `it does not come to an end: ${JSON.stringify(end)}`)
    return (await pointsOf(folder)).slice(before)
  })
}

/** Two at a time; the first failure stops both. */
async function twoAtATime<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      try {
        await work(item)
      } catch (thrown) {
        queue.length = 0
        throw thrown
      }
    }
  }
  await Promise.all([worker(), worker()])
}

for (const scenario of Object.keys(scenarios)) {
  test(`${scenario}: killed at any point, it is brought to its end by the next process`, async (t: TestContext) => {
    const points = await inFolder(async (folder) => {
      assert.equal((await runChild(folder, scenario, 'run', never)).signal, '')
      await assertSound(folder)
      return pointsOf(folder)
    })
    // The same step after the same step is the same crash, whatever the scenario.
    const news = points.filter((point, index) => {
      const context = `${nameOf(points[index - 1] ?? '')}, ${nameOf(point)}`
      return !contexts.has(context) && contexts.add(context)
    })
    let reached = 0
    await twoAtATime(news, async (point) => {
      const inResume = await killAndResume(scenario, point, never)
      if (inResume !== undefined) reached += 1
      for (const one of [point, ...(inResume ?? [])]) passed.add(nameOf(one))
    })
    // How often a registry is asked meanwhile is a matter of chance.
    assert.ok(reached >= news.length * 0.9, `only ${reached} of ${news.length} points were reached`)
    t.diagnostic(`${points.length} crash points, ${news.length} of them new`)
  })
}

test('killed while it takes up what a killed process left, it is brought to its end by the third', async (t) => {
  const scenario = 'a provided password that the registry learns later'
  const at = 'after commit#1'
  const inResume = (await killAndResume(scenario, at, never)) ?? []
  assert.ok(inResume.includes('before journal: tell#1'), `${inResume}`)
  await twoAtATime(inResume, async (point) => {
    assert.ok(await killAndResume(scenario, at, point))
  })
  t.diagnostic(`${inResume.length} crash points`)
})

test('every journal record and every call outside that the sources mark was a crash point, before and after', async (t) => {
  const names = new Set<string>()
  for (const file of await readdir(sources)) {
    const text = await readFile(join(sources, file), 'utf8')
    for (const [, name = ''] of text.matchAll(/\bjournalled\(\s*[\w.]+,\s*'([^']+)'/g)) {
      for (const point of [`intent: ${name}`, name, `result: ${name}`]) names.add(point)
    }
    for (const [, name = ''] of text.matchAll(/\bmarked\(\s*[\w.]+,\s*'([^']+)'/g)) names.add(name)
  }
  const missing = [...names].flatMap((name) =>
    ['before', 'after'].map((when) => `${when} ${name}`).filter((point) => !killed.has(point)),
  )
  assert.deepEqual(missing, [], 'points that no test visits')
  const unknown = [...passed].filter((point) => !names.has(point.replace(/^(before|after) /, '')))
  assert.deepEqual(unknown, [], 'points that the sources do not name')
  assert.ok(names.size > 30, `only ${names.size} names were found in the sources`)
  t.diagnostic(`${names.size} points, each visited before and after; ${kills} kills`)
})
