// Bundles the daemon and its command line into dist/, so that a package needs Node, these files and, for the store "os", keytar.
//   node build.mjs [empty folder]

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'

const root = import.meta.dirname
const [folder] = process.argv.slice(2)
const out = folder === undefined ? join(root, 'dist') : resolve(folder)
if (folder === undefined) rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })
if (readdirSync(out).length > 0) {
  process.stderr.write(`${out} is not empty\n`)
  process.exit(64)
}

const startedAt = performance.now()
const { metafile } = await build({
  absWorkingDir: root,
  // All lie in one folder: os-helper is looked for beside the file that starts it. Kubernetes' client, most of the whole, is a file
  // of its own that is read only where the config names a cluster; so is the daemon, which the other commands do without.
  entryPoints: {
    regcredd: 'src/main.ts',
    daemon: 'src/daemon/serve.ts',
    'os-helper': 'src/keychain/os-helper.ts',
    'kubernetes-client': 'src/mirror/kubernetes-client.ts',
  },
  outdir: out,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'shared-[hash]',
  splitting: true,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  // Native: it stays in node_modules, or wherever a package puts it.
  external: ['keytar'],
  // The CommonJS packages within ask for Node's modules by `require`, which an ES module lacks.
  banner: { js: `import{createRequire as toRequire}from'node:module';const require=toRequire(import.meta.url);` },
  // Names stay, for the sake of stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  metafile: true,
  logLevel: 'warning',
})
writeFileSync(join(out, 'THIRD-PARTY-LICENSES.txt'), licencesOf(packagesIn(Object.keys(metafile.inputs))))
for (const name of readdirSync(out).sort()) {
  process.stdout.write(
    `${name.padEnd(26)}${String(Math.ceil(statSync(join(out, name)).size / 1024)).padStart(6)} KiB\n`,
  )
}
process.stdout.write(`built in ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`)

/** Folders of the packages, relative to the root, that `files` belong to. A package may lie within another's node_modules. */
function packagesIn(files) {
  const folders = files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? [])
  return [...new Set(folders)].sort()
}

/** Most licences ask that their text and the copyright come along with every copy; Apache-2.0 asks it for NOTICE, too. */
function licencesOf(folders) {
  const parts = folders.map((path) => {
    const { name, version, license, author } = JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8'))
    const texts = readdirSync(join(root, path))
      .filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
      .map((file) => readFileSync(join(root, path, file), 'utf8').trim())
    if (texts.length === 0) {
      if (typeof license !== 'string') throw new Error(`${path} says nothing of its licence`)
      texts.push(`The package holds no text of its licence. Author: ${author?.name ?? author ?? 'not named'}`)
    }
    return `${name} ${version} (${license ?? 'see below'})\n\n${texts.join('\n\n')}\n`
  })
  const head = `regcredd's files in this folder contain code of these ${parts.length} packages.\n`
  return [head, ...parts].join(`\n${'-'.repeat(80)}\n\n`)
}
