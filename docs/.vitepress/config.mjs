// How docs/ becomes a site: "make site". The pages are plain Markdown, written for GitHub, and
// this file says what a site needs beyond them.
import { readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const docs = dirname(dirname(fileURLToPath(import.meta.url)))
const repository = 'https://github.com/bungee-xr/bungee/blob/main/'

// The titles of pages are their first headings.
const page = (name) => ({
  text: readFileSync(join(docs, name + '.md'), 'utf8').match(/^# (.*)$/m)[1].replaceAll('`', ''),
  link: '/' + name,
})
const group = (text, collapsed, ...names) => ({ text, collapsed, items: names.map(page) })

// Links of GitHub's form: anchors are made as GitHub makes them, and a link that leaves docs
// leads to the repository.
const slugify = (heading) => heading.trim().toLowerCase().replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, '').replaceAll(' ', '-')

function linksOut(md) {
  md.core.ruler.push('links-out', (state) => {
    const here = dirname(state.env.relativePath ?? '')
    for (const { children } of state.tokens) {
      for (const token of children ?? []) {
        const href = token.type === 'link_open' ? token.attrGet('href') : null
        if (!href || /^([a-z]+:|#|\/)/.test(href)) continue
        const target = normalize(join(here, href))
        if (target.startsWith('..')) token.attrSet('href', repository + relative('..', target))
      }
    }
  })
}

// Tests read blocks of bytes and of golden messages, which no highlighter knows.
function plainBlocks(md) {
  md.core.ruler.push('plain-blocks', (state) => {
    for (const token of state.tokens) {
      if (token.type === 'fence' && /^(hex|golden)\b/.test(token.info)) token.info = 'txt'
    }
  })
}

const markdown = (md) => {
  linksOut(md)
  plainBlocks(md)
}

// Pages lie outside of the folder with node_modules, where Vite does not look for what renders
// them. The pages it compiles lie inside, so that Node finds it.
const vueFromHere = {
  name: 'vue-from-here',
  enforce: 'pre',
  resolveId: (id, importer, { ssr }) => (ssr && /^vue(\/server-renderer)?$/.test(id) ? { id, external: true } : null),
}

export default {
  title: 'Bungee',
  description: 'Go functions that stretch from a device to the network edge and snap back',
  base: process.env.BASE ?? '/',
  outDir: join(docs, '..', 'bin', 'site'),
  markdown: { anchor: { slugify }, config: markdown },
  vite: { plugins: [vueFromHere] },
  themeConfig: {
    nav: [
      { text: 'Tutorial', link: '/tutorial' },
      { text: 'Concepts', link: '/concepts/function' },
      { text: 'How-to', link: '/howto/own-model' },
      { text: 'Reference', link: '/cli' },
      { text: 'Source', link: repository + 'README.md' },
    ],
    sidebar: [
      group('Begin', false, 'tutorial'),
      group('Concepts', false, 'concepts/function', 'concepts/channel', 'concepts/module', 'concepts/policy', 'concepts/lease'),
      group('How to', false, 'howto/camera', 'howto/own-model', 'howto/tenants', 'howto/weak-links', 'howto/ci', 'howto/debugging-a-difference'),
      group('Operation', false, 'operate', 'configuration', 'identities', 'policy', 'manager', 'metrics'),
      group('Reference', false, 'cli', 'ue-policy', 'control', 'hostfunctions', 'nn', 'abi', 'protocol', 'standards', 'versioning'),
      group('Inside', true, 'architecture', 'channel', 'compilation', 'decisions', 'benchmarks', 'paper000', 'breaks', 'cli-lab'),
    ],
    outline: [2, 3],
    search: { provider: 'local' },
    socialLinks: [],
  },
}
