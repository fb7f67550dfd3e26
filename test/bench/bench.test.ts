import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { interleave } from '../../bench/measure.ts'
import { performancePage, withTable } from '../../bench/page.ts'
import { isMet, jsonOf, type Result, tableOf } from '../../bench/result.ts'
import { clientNote, resultsOf } from '../../bench/rows.ts'
import { median, pairedRatio } from '../../bench/stats.ts'
import { parseReport } from '../../bench/wrk.ts'
import { skipWithoutKeyring } from '../helpers/keyring.ts'
import { skipWithout } from '../helpers/tools.ts'

const positive = fc.double({ min: 1e-3, max: 1e6, noNaN: true })

function result(
  ours: number[],
  peer: number[],
  rest: Pick<Result, 'aim' | 'better'> & Partial<Pick<Result, 'judged'>>,
): Result {
  const series = { ours: { name: 'regcredd', values: ours }, peer: { name: 'nginx', values: peer } }
  return { name: 'blob', what: 'a blob', unit: 'MB/s', judged: 'ratio', ...series, ...rest }
}

describe('the figures of the bench', () => {
  test('a median has as many values above it as below', () => {
    assert.deepEqual([median([5]), median([9, 1, 5]), median([4, 1, 3, 2])], [5, 5, 2.5])
    fc.assert(
      fc.property(fc.array(positive, { minLength: 1 }), (values) => {
        const middle = median(values)
        assert.equal(values.filter((value) => value < middle).length <= values.length / 2, true)
        assert.equal(values.filter((value) => value > middle).length <= values.length / 2, true)
      }),
    )
  })

  test('ratios are taken within a round, so that a slow round counts for both', () => {
    assert.deepEqual(pairedRatio([50, 5, 60], [100, 10, 100]), { ratio: 0.5, low: 0.5, high: 0.6 })
  })

  test('a round without both values is refused', () => {
    for (const [ours, theirs] of [
      [[], []],
      [[1, 2], [1]],
      [[1], [0]],
      [[1], [1, 2]],
    ] as const) {
      assert.throws(() => pairedRatio(ours, theirs), RangeError)
    }
  })

  test('an aim is met when the ratio that is printed reaches it, and missed on the other side', () => {
    const half = (better: Result['better'], aim: number) => isMet(result([50, 50], [100, 100], { aim, better }))
    assert.deepEqual(
      [half('higher', 0.5), half('higher', 0.51), half('lower', 0.5), half('lower', 0.49)],
      [true, false, true, false],
    )
    assert.equal(isMet(result([94.6], [100], { aim: 0.95, better: 'higher' })), true, '0.946 is printed as 0.95')
  })

  test('where our value is judged the peer is only shown, and where one value is asked for no round may miss it', () => {
    const memory = result([240, 260, 245], [900, 900, 900], { aim: 250, better: 'lower', judged: 'value' })
    assert.equal(isMet(memory), true, 'the median is below')
    assert.match(tableOf([memory]), /\| \(240–260\) +\| ≤ 250 MB\/s \| met \|$/)
    assert.deepEqual(JSON.parse(jsonOf([memory])), { blob: { value: 245, aim: 250, better: 'lower' } })
    const asked = (values: number[]) =>
      isMet(result(values, [50, 50, 50], { aim: 1, better: 'exact', judged: 'value' }))
    assert.deepEqual([asked([1, 1, 1]), asked([1, 2, 1]), asked([0, 1, 1])], [true, false, false])
  })

  test('the table marks what was missed, and the JSON line holds ratio, aim and direction', () => {
    const results = [
      result([50, 40, 60], [100, 100, 100], { aim: 1.1, better: 'higher' }),
      { ...result([1.5], [1], { aim: 2, better: 'lower' }), name: 'cpu', unit: 's' },
    ]
    const [head, rule, missed, met, ...rest] = tableOf(results).split('\n')
    assert.match(head ?? '', /^\| what +\| regcredd +\| compared with +\| ratio \(spread\) +\| aim +\| +\|$/)
    assert.match(rule ?? '', /^(\| -+ )+\|$/)
    assert.match(
      missed ?? '',
      /^\| a blob \| 50 MB\/s +\| nginx: 100 MB\/s \| 0\.5 \(0\.4–0\.6\) +\| ≥ 1\.1 \| \*\*missed\*\* \|$/,
    )
    assert.match(met ?? '', /^\| a blob \| 1\.5 s +\| nginx: 1\.0 s +\| 1\.5 \(1\.5–1\.5\) +\| ≤ 2 +\| met +\|$/)
    assert.deepEqual(rest, [])
    assert.deepEqual(JSON.parse(jsonOf(results)), {
      blob: { ratio: 0.5, aim: 1.1, better: 'higher' },
      cpu: { ratio: 1.5, aim: 2, better: 'lower' },
    })
  })

  test('a row whose peer was not there is left out', () => {
    const values = new Map([
      ['blob, 1, regcredd', [1]],
      ['blob, 1, direct', [2]],
    ])
    assert.deepEqual(
      resultsOf(values).map(({ name }) => name),
      ['blob-direct'],
    )
  })

  test('Kubernetes without a cluster gives a table of what was measured', () => {
    const results = resultsOf(
      new Map([
        ['mirror memory, regcredd', [100]],
        ['mirror memory, none', [1]],
      ]),
    )
    assert.match(tableOf(results), /\n\| 5,000 namespaces, memory \| 100 MB +\| .* \| ≤ 150 MB +\| met \|$/)
    assert.deepEqual(JSON.parse(jsonOf(results)), { 'mirror-memory': { value: 100, aim: 150, better: 'lower' } })
  })

  test('the client is shown where it had least room', () => {
    const values = new Map([
      ['client of blob, 1, direct', [0.5, 0.9, 0.8]],
      ['client of small', [0.7, 0.7, 1]],
      ['blob, 1, direct', [700]],
    ])
    assert.equal(clientNote(values), 'the client was never busier than 80 % of its one core (blob, 1, direct)')
  })

  test('every other round goes backwards, and the values stay in order', async () => {
    const order: string[] = []
    const measure = (label: string) => ({
      label,
      sample: async () => ({ [label]: order.push(label) }),
    })
    const values = await interleave([measure('a'), measure('b')], 3, () => undefined)
    assert.equal(order.join(''), 'abbaab')
    assert.deepEqual(
      [...values],
      [
        ['a', [1, 4, 5]],
        ['b', [2, 3, 6]],
      ],
    )
  })

  test('a run with failed requests is no figure', () => {
    assert.deepEqual(parseReport('Running 2s test\n\nreport 2000000 100 4000000 0\n'), {
      requestsPerSecond: 50,
      megabytesPerSecond: 2,
    })
    assert.throws(() => parseReport('report 2000000 100 4000000 1\n'), /1 requests failed/)
    assert.throws(() => parseReport('report 2000000 0 0 0\n'), /0 bytes came/)
    assert.throws(() => parseReport('unable to connect'), /no report/)
  })

  test('the page keeps its words, and the table in it is replaced', async () => {
    const page = await readFile(performancePage, 'utf8')
    const written = withTable(page, 'THE TABLE')
    assert.equal(withTable(written, 'THE TABLE'), written)
    assert.deepEqual([written.split('THE TABLE').length, written.split('\n')[0]], [2, page.split('\n')[0]])
    assert.throws(() => withTable('no markers', ''), /has no line/)
  })
})

const skip =
  skipWithoutKeyring() ||
  skipWithout(
    'docker-registry',
    'htpasswd',
    'openssl',
    'skopeo',
    'umoci',
    'wrk',
    'nginx',
    'crane',
    'distribution',
    'kube-apiserver',
    'kubectl',
    'etcd',
  )
const BY_VALUE = new Set([
  ...['burst-tokens', 'slow-memory', 'idle-wake-ups', 'rotation-failed-pulls'],
  ...['mirror-idle', 'mirror-memory', 'fleet-adopted'],
])
test('a short run measures every row but the 8 streams, leaves the page alone and ends with its JSON line', {
  skip,
}, async () => {
  const page = await readFile(performancePage, 'utf8')
  const args = [join(import.meta.dirname, '../../bench/bench.ts'), '--quick', '--json']
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { timeout: 290_000 })
  const line: Record<string, object> = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')
  assert.deepEqual(Object.keys(line), [
    ...['blob-direct', 'blob-nginx', 'cpu-nginx', 'small-direct', 'small-nginx', 'small-cache'],
    ...['pull-large-near', 'pull-layers-near', 'pull-large-far', 'pull-layers-far', 'burst-tokens'],
    ...['slow-memory', 'slow-first-byte', 'start-up', 'idle-memory'],
    ...['start-100-credentials', 'idle-wake-ups', 'rotation-failed-pulls', 'rotation-p99'],
    ...['mirror-time', 'mirror-idle', 'mirror-memory', 'fleet-adopted'],
  ])
  for (const [name, row] of Object.entries(line)) {
    const judged = BY_VALUE.has(name) ? 'value' : 'ratio'
    assert.deepEqual(Object.keys(row), [judged, 'aim', 'better'])
  }
  assert.deepEqual(line['burst-tokens'], { value: 1, aim: 1, better: 'exact' })
  assert.match(stdout, /^\| manifests, light upstream /m)
  assert.deepEqual(stdout.match(/^### .*$/gm), ['### Pulls', '### Keychain and rotation', '### Kubernetes'])
  assert.match(stderr, /round 1 of 1/)
  assert.equal(await readFile(performancePage, 'utf8'), page)
})
