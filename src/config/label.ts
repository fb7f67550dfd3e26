import { z } from 'zod'
import type { Report } from './problem.ts'

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set */
const LABEL_KEY = /^(?:(?=[^/]{1,253}\/)[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?$/
const LABEL_VALUE = /^(?:[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?)?$/

/** The form of a label selector as in Kubernetes; `of` is what it selects. */
export function labelSelector(of: 'namespace' | 'node') {
  return z.strictObject({
    matchLabels: z.record(z.string(), z.string()).default({}).describe(`Labels that a ${of} must have.`),
    matchExpressions: z
      .array(
        z.strictObject({
          key: z.string().describe('The label.'),
          operator: z
            .enum(['In', 'NotIn', 'Exists', 'DoesNotExist'])
            .describe(`As in Kubernetes: a ${of} without the label meets \`NotIn\` and \`DoesNotExist\`.`),
          values: z.array(z.string()).default([]).describe('For `In` and `NotIn`.'),
        }),
      )
      .default([])
      .describe(`What a ${of} must meet beside them.`),
  })
}

export type LabelSelector = z.output<ReturnType<typeof labelSelector>>

export function isLabel(key: string, value: string): boolean {
  return LABEL_KEY.test(key) && LABEL_VALUE.test(value)
}

export function checkSelectorLabels(selector: LabelSelector, place: string, report: Report): void {
  for (const [key, value] of Object.entries(selector.matchLabels)) {
    if (!isLabel(key, value)) report(`${place}.matchLabels`, 'holds what is no label')
  }
  for (const [index, { key, operator, values }] of selector.matchExpressions.entries()) {
    const one = `${place}.matchExpressions[${index}]`
    if (!LABEL_KEY.test(key)) report(`${one}.key`, 'is no label')
    if (values.some((value) => !LABEL_VALUE.test(value))) report(`${one}.values`, 'holds what is no value of a label')
    const takesValues = operator === 'In' || operator === 'NotIn'
    if (takesValues && values.length === 0) report(`${one}.values`, `must not be empty with ${operator}`)
    if (!takesValues && values.length > 0) report(`${one}.values`, `must be empty with ${operator}`)
  }
}
