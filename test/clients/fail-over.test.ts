import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { root } from '../design/project.ts'
import { startContainerd } from '../helpers/containerd.ts'
import { skipWithout, skipWithoutRootAnd } from '../helpers/tools.ts'
import { criPuller } from './containerd-pullers.ts'
import { podmanPuller, skopeoPuller } from './containers-pullers.ts'
import { answers, type Fallback, type Fate, type Stage, startStage } from './fail-over-kit.ts'
import { newFolder, type PullerKind, placeFiles } from './puller.ts'

/** The columns of the table in docs/clients.md. */
const columns: [head: string, kind: PullerKind][] = [
  ['containerd 1.6', criPuller('containerd 1.6', 'containerd')],
  ['containerd 1.7', criPuller('containerd 1.7', 'containerd-1')],
  ['containerd 2.4', criPuller('containerd 2.4', 'containerd-2')],
  ['skopeo 1.9', skopeoPuller],
  ['podman 4.3', podmanPuller],
]
/** What the daemon's answer says; of 404 and 429 in the registry's own words. */
const said: Record<Exclude<(typeof answers)[number], 'down'>, RegExp> = {
  '403': /asks for a credential for this repository/,
  '404': /manifest unknown: unknown/,
  '429': /slow down/,
  '502': /cannot be reached/,
  '503': /needs a credential and none is stored/,
}
const forms: Fallback[] = ['never', 'origin']
const skip = skipWithoutRootAnd('containerd', 'containerd-1', 'containerd-2', 'runc') || skipWithout('skopeo', 'podman')

describe('what clients do when the daemon does not give the image', { skip }, () => {
  const fates = new Map<string, Fate>()
  let stage: Stage
  before(async () => {
    stage = await startStage()
    for (const form of forms) {
      for (const [head, kind] of columns) {
        const puller = await kind.start(stage.nodeFor(form))
        try {
          for (const answer of [...answers.filter((one) => one !== 'down'), 'blob'] as const)
            fates.set(`${form} ${answer} ${head}`, await stage.pull(puller, answer))
        } finally {
          await puller.close()
        }
      }
    }
    await stage.daemon.kill()
    for (const form of forms) {
      for (const [head, kind] of columns) {
        const puller = await kind.start(stage.nodeFor(form))
        try {
          fates.set(`${form} down ${head}`, await stage.pull(puller, 'down'))
        } finally {
          await puller.close()
        }
      }
    }
  })
  after(() => stage?.close())

  test('each answer is what it is called', () => {
    const answered = answers.slice(0, -1).map((answer) => fates.get(`origin ${answer} podman 4.3`)?.statuses)
    assert.deepEqual(
      answered,
      answers.slice(0, -1).map((answer) => [answer]),
    )
  })

  test('with fallback "never" the registry is not asked by any client at any answer, and the pull fails', () => {
    const other = [...fates].filter(
      ([what, fate]) => what.startsWith('never') && (fate.outcome !== 'fails' || fate.askedOrigin),
    )
    assert.deepEqual(other, [])
  })

  test('with fallback "origin" the image comes from the registry, for every client at every answer', () => {
    const other = [...fates].filter(
      ([what, fate]) =>
        what.startsWith('origin') && !what.includes('blob') && !(fate.outcome === 'image' && fate.askedOrigin),
    )
    assert.deepEqual(other, [])
  })

  test('with "origin", once a manifest came from the daemon, containerd goes on to the registry for a blob; skopeo and podman fail', () => {
    const outcomes = columns.map(([head]) => fates.get(`origin blob ${head}`)?.outcome)
    assert.deepEqual(outcomes, ['image', 'image', 'image', 'fails', 'fails'])
    assert.match(fates.get('origin blob skopeo 1.9')?.words ?? '', /blob.*502|502.*blob/)
  })

  test('docs/clients.md has the table as it is measured', async () => {
    const document = await readFile(join(root, 'docs/clients.md'), 'utf8')
    const head = `| the daemon | ${columns.map(([one]) => one).join(' | ')} |`
    const rows = answers.map(
      (answer) =>
        `| ${answer} | ${columns.map(([one]) => cell(answer, fates.get(`never ${answer} ${one}`))).join(' | ')} |`,
    )
    const measured = [head, '|---|---|---|---|---|---|', ...rows].join('\n')
    const start = document.indexOf(head)
    assert.equal(document.slice(start, start + measured.length), measured, `measured:\n${measured}`)
  })
})

/** How often the daemon was asked, and whether the client shows the words of the answer to who waits for the image. */
function cell(answer: (typeof answers)[number], fate: Fate | undefined): string {
  if (fate === undefined) return 'not run'
  if (answer === 'down') return /connection refused/.test(fate.words) ? 'refused, and says so' : fate.words
  const isSaid = said[answer].test(fate.words)
  return `${fate.requests} request${fate.requests === 1 ? '' : 's'}${isSaid ? ', our words' : ''}`
}

test('a config_path of two folders: containerd 1.6 and 1.7 read both, 2.4 neither and asks the registry itself', {
  skip,
}, async (t) => {
  const stage = await startStage()
  t.after(() => stage.close())
  const asked: [string, boolean][] = []
  for (const program of ['containerd', 'containerd-1', 'containerd-2'] as const) {
    const { folder, remove } = await newFolder()
    t.after(remove)
    const at = await placeFiles('containerd', stage.nodeFor('never'), folder)
    const certsDir = at('/etc/containerd/certs.d')
    const containerd = await startContainerd({ program, certsDir, configPath: `${certsDir}:${folder}/other` })
    t.after(() => containerd.stop())
    const puller = {
      pull: async (ref: string) => [(await containerd.cri.pullImage(ref)).imageRef],
      close: async () => {},
    }
    asked.push([program, (await stage.pull(puller, '404')).askedOrigin])
  }
  assert.deepEqual(asked, [
    ['containerd', false],
    ['containerd-1', false],
    ['containerd-2', true],
  ])
})
