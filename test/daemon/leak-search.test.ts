import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { awkwardPassword, canaryOf, randomMark } from '../helpers/canary.ts'
import { eventually } from '../helpers/eventually.ts'
import { findLeaks, placesInFolder, sampleProcesses } from '../helpers/leak-search.ts'

const canary = awkwardPassword('the password')
const { value } = canary
const base64 = (text: string) => Buffer.from(text).toString('base64')
const backwards = (text: string) => [...text].reverse().join('')

const FORMS: [string, string | Buffer][] = [
  ['as it is', value],
  ['in JSON', JSON.stringify({ password: value })],
  ['in JSON in JSON', JSON.stringify(JSON.stringify({ password: value }))],
  ['in JSON of ASCII', JSON.stringify(value).replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16)}`)],
  ['percent-coded', encodeURIComponent(value)],
  ['as a form', String(new URLSearchParams({ password: value }))],
  ['as Node prints it', inspect({ value })],
  ['in Basic', `Basic ${base64(`ci:${value}`)}`],
  ['in base64 at 0', base64(value)],
  ['in base64 at 1', base64(`"${value}"`)],
  ['in base64 at 2', base64(`{"${value}"}`)],
  ['in base64url', Buffer.from(`:${value}`).toString('base64url')],
  ['in hex', Buffer.from(value).toString('hex')],
  ['in HEX', Buffer.from(`x${value}`).toString('hex').toUpperCase()],
  ['in UTF-16', Buffer.from(`x${value}`, 'utf16le')],
  ['its first 32 characters', value.slice(0, 32)],
  ['its last 32 characters', [...value].slice(-32).join('')],
  ['the middle of it in base64', base64(value.slice(30, 90))],
]

describe('the search for leaks', () => {
  for (const [form, planted] of FORMS) {
    test(`finds a password ${form}`, () => {
      const content = Buffer.concat([
        Buffer.from('{"level":"info"} '),
        Buffer.from(planted as string),
        Buffer.from(' \n'),
      ])
      assert.equal(findLeaks([{ kind: 'log', name: 'x', content }], [canary]).length, 1)
    })
  }

  test('finds nothing where nothing is', () => {
    const other = awkwardPassword('another').value
    const content = FORMS.map(([form]) => `${form} ${other} ${base64(other)}`).join('\n')
    assert.deepEqual(findLeaks([{ kind: 'log', name: 'x', content }], [canary]), [])
  })

  test('refuses a canary that is too short to be told from other text', () => {
    assert.throws(() => canaryOf('pin', '1234'), /too short/)
  })

  test('finds what is planted in arguments, environment, file, file name and link', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'regcredd-leaks-'))
    t.after(() => rm(folder, { recursive: true }))
    const marks = Object.fromEntries(
      ['argv', 'environ', 'grandchild', 'content', 'name', 'link'].map((where) => [
        where,
        canaryOf(where, randomMark()),
      ]),
    )
    const of = (where: string) => marks[where]?.value ?? ''
    await writeFile(join(folder, 'file'), `x${of('content')}`)
    await writeFile(join(folder, of('name')), '')
    await symlink(`/nowhere/${of('link')}`, join(folder, 'dangling'))

    const sampler = sampleProcesses()
    const options = `{ argv0: [...'${backwards(of('grandchild'))}'].reverse().join(''), stdio: 'inherit' }`
    const children = `require('node:child_process').spawnSync('cat', ${options})`
    const child = spawn(process.execPath, ['-e', children, of('argv')], { env: { PASSWORD: of('environ') } })
    const ended = once(child, 'exit')
    // Until then it waits for the end of its standard input.
    await eventually('it was looked at', () => sampler.commands().includes(of('grandchild')))
    child.stdin.end()
    await ended
    sampler.stop()

    const found = findLeaks([...sampler.places(), ...placesInFolder('file', folder)], Object.values(marks)).join('\n')
    for (const where of Object.keys(marks)) assert.match(found, new RegExp(`: ${where} \\(whole, raw\\)`))
  })
})
