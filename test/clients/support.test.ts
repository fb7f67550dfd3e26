import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { root } from '../design/project.ts'
import { needTool, skipWithout } from '../helpers/tools.ts'

const document = await readFile(join(root, 'docs/support.md'), 'utf8')
const rows = [...document.matchAll(/^\| ([^|]+) \| (\d+\.\d+) \| ([\w-]+) \|/gm)]

describe('docs/support.md', () => {
  test('has every client and registry of the tests', () => {
    assert.deepEqual(rows.map(([, , , part]) => part).toSorted(), [
      ...[
        'buildah',
        'containerd',
        'containerd-1',
        'containerd-2',
        'crane',
        'distribution',
        'docker-registry',
        'dockerd',
        'kubelet',
        'podman',
        'referrers-registry',
        'skopeo',
      ],
    ])
  })

  for (const [, name = '', version = '', part = ''] of rows) {
    test(`${name} ${version} is what runs here as ${part}`, { skip: skipWithout(part) }, () => {
      assert.equal(/^\d+\.\d+/.exec(needTool(part).version)?.[0], version)
    })
  }
})
