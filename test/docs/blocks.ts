/** A fenced block of a document; `language` is the word behind the fence. */
export type Block = { file: string; line: number; language: string; text: string }

/** What a reader does from top to bottom: run commands (and compare what they print), or put a configuration in place. */
export type Step = { run: Block; output: Block | undefined } | { config: Block }

const FENCE = /^```(\w*)\n([\s\S]*?)^```$/gm

export function blocksOf(file: string, markdown: string): Block[] {
  return [...markdown.matchAll(FENCE)].map((match) => ({
    file,
    line: markdown.slice(0, match.index).split('\n').length,
    language: match[1] ?? '',
    text: match[2] ?? '',
  }))
}

/** A `text` or `json` block that directly follows an `sh` block is what that prints; any other `json` block is a configuration. */
export function stepsOf(blocks: Block[]): Step[] {
  return blocks.flatMap((block, index): Step[] => {
    if (block.language === 'sh') {
      const next = blocks[index + 1]
      return [{ run: block, output: next !== undefined && isOutput(block, next) ? next : undefined }]
    }
    return isConfig(blocks, index) ? [{ config: block }] : []
  })
}

export function isConfig(blocks: Block[], index: number): boolean {
  const before = blocks[index - 1]
  const block = blocks[index]
  return block?.language === 'json' && !(before !== undefined && isOutput(before, block))
}

export function isOutput(before: Block, block: Block): boolean {
  const endsAtLine = before.line + before.text.split('\n').length
  return before.language === 'sh' && ['text', 'json'].includes(block.language) && block.line === endsAtLine + 2
}
