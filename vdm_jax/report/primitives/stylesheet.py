"""The page's only style sheet."""

STYLE = """
:root { color-scheme: light dark; --ground: #f7f8f8; --card: #ffffff; --ink: #26323b; --quiet: #5f6b74; --rule: #e1e6e9;
  --accent: #0072b2; --warn: #a34700; --warn-ground: #fdf0e6; }
@media (prefers-color-scheme: dark) { :root { --ground: #14191d; --card: #1c2328; --ink: #e3e8eb; --quiet: #9aa7b0;
  --rule: #303a41; --accent: #6cb8e6; --warn: #f0a868; --warn-ground: #3a2a1c; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.55;
  font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", "Liberation Sans", Arial, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .6rem; letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 0 0 .8rem; letter-spacing: -.01em; }
h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
section { margin-top: 3rem; scroll-margin-top: 1rem; }
p { max-width: 44rem; margin: .4rem 0 .8rem; }
a { color: var(--accent); }
code { font: .92em ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: .35rem 1.6rem; margin: 0; color: var(--quiet); font-size: .92rem; }
.facts div { display: flex; gap: .45rem; }
.facts dt::after { content: ":"; }
.facts dd { margin: 0; color: var(--ink); overflow-wrap: anywhere; }
nav { margin-top: 1.4rem; padding-top: .9rem; border-top: 1px solid var(--rule); font-size: .92rem;
  display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .9rem;
  margin-bottom: 1.4rem; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: .9rem 1.1rem; }
.card .name { color: var(--quiet); font-size: .88rem; }
.card .value { font-size: 1.75rem; font-weight: 600; letter-spacing: -.02em; line-height: 1.3; }
.card .error { font-size: 1rem; font-weight: 400; color: var(--quiet); letter-spacing: 0; }
.card .unit { font-size: .88rem; color: var(--quiet); }
.warn { display: inline-block; background: var(--warn-ground); color: var(--warn); border-radius: 5px;
  padding: 0 .45rem; font-size: .85rem; font-weight: 600; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: .3rem 1.1rem; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
th, td { text-align: left; padding: .45rem 1.2rem .45rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
tr:last-child > * { border-bottom: 0; }
thead th { color: var(--quiet); font-weight: 500; font-size: .88rem; }
tbody th { font-weight: 400; width: 45%; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.total > * { font-weight: 600; }
.error, .reason { color: var(--quiet); font-weight: 400; }
.scroll + p { margin-top: .8rem; }
.missing { color: var(--quiet); border-left: 3px solid var(--rule); padding: .1rem 0 .1rem .9rem; }
figure { margin: 1rem 0 1.8rem; }
.panels { display: grid; gap: .9rem; align-items: start; }
.panels.one { grid-template-columns: minmax(0, max-content); }
.panels.two { grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.panels.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); }
.panel { background: #ffffff; border: 1px solid var(--rule); border-radius: 10px; padding: .8rem; max-width: 100%; }
.panel .label { margin: 0 0 .5rem; font-size: .88rem; font-weight: 600; color: #26323b; }
.panel img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.panel.wide { overflow-x: auto; }
.panel.wide img { max-width: none; }
figcaption { color: var(--quiet); font-size: .93rem; margin-top: .7rem; max-width: 46rem; }
details { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: .7rem 1.1rem; }
summary { cursor: pointer; font-weight: 500; }
pre { overflow-x: auto; font-size: .88rem; line-height: 1.45; margin: .8rem 0 .2rem; }
@media (max-width: 40rem) { main { padding-top: 1.5rem; } h1 { font-size: 1.6rem; } .scroll { padding: .2rem .8rem; }
  .panel { padding: .5rem; } th, td { padding-right: .8rem; } }
"""
