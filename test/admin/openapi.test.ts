import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { Endpoint } from '../../src/admin/endpoint.ts'
import { endpoints } from '../../src/admin/endpoints.ts'
import { catalogue, type ErrorCode } from '../../src/errors.ts'
import { openApiPath, openApiText } from './openapi-doc.ts'

type Operation = {
  operationId: string
  parameters: { name: string; in: string }[]
  responses: Record<string, unknown>
}
type Document = { paths: Record<string, Record<string, Operation>> }

const committed = await readFile(openApiPath, 'utf8')
const document: Document = JSON.parse(committed)

test('docs/openapi.json is what the daemon serves (node test/admin/openapi-doc.ts --write)', () => {
  assert.equal(committed, openApiText())
})

test('every operation has a name of its own, its parameters, and an answer for each status that its codes have', () => {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
  )
  assert.equal(new Set(operations.map(({ operationId }) => operationId)).size, Object.keys(endpoints).length)
  for (const { path, parameters, responses, operationId } of operations) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
    assert.deepEqual(
      parameters.filter((one) => one.in === 'path').map(({ name }) => name),
      inPath,
      operationId,
    )
    for (const status of [401, 403, 429, 500, 503]) assert.ok(responses[status], `${operationId} ${status}`)
  }
  for (const { name, body, problems, query } of Object.values<Endpoint>(endpoints)) {
    const codes: readonly ErrorCode[] = problems
    if (body !== undefined) assert.ok(codes.includes('BODY_INVALID'), name)
    if (query !== undefined) assert.ok(codes.includes('PARAMETER_INVALID'), name)
    assert.ok(codes.every((code) => code in catalogue))
  }
})
