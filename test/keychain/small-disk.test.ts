import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { inMountNamespace, mountSmallDisk, skipWithoutSmallDisk } from '../helpers/small-disk.ts'
import { makeKeyFile } from './key.ts'
import { tempFolder } from './temp-folder.ts'

test('on a full disk a write and a rekey are refused in words, what is stored is still read, and room mends it', {
  skip: skipWithoutSmallDisk(),
}, async (t) => {
  const folder = await tempFolder(t)
  const [disk, keyFile] = [join(folder, 'disk'), join(folder, 'key')]
  await mkdir(disk)
  await makeKeyFile(keyFile)
  const [command = '', ...args] = [...inMountNamespace, 'sh', '-c', `${mountSmallDisk.join(' ')} "$0" && exec "$@"`]
  const child = [process.execPath, join(import.meta.dirname, 'small-disk-child.ts'), disk, keyFile]
  const { stdout } = await promisify(execFile)(command, [...args, disk, ...child], { timeout: 60_000 })
  assert.equal(stdout, 'all held\n')
})
