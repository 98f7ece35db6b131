import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { htmlToText } from './html-text.ts';

describe('htmlToText', () => {
  test.each([
    ['paragraphs', '<p>One</p><p>Two</p>', 'One\n\nTwo'],
    ['line breaks', 'One<br>Two<br/>Three', 'One\nTwo\nThree'],
    ['white space', '<p>  One\n   two  </p>', 'One two'],
    ['inline elements', '<b>K</b>: 4<sup>+</sup>', 'K: 4+'],
    ['headings', '<h1>Note</h1><h3>Plan</h3>Rest', '# Note\n\n### Plan\n\nRest'],
    ['lists', '<ul><li>One</li><li>Two</li></ul>', '- One\n- Two'],
    [
      'tables',
      '<table><tr><th>Test</th><th>Value</th></tr><tr><td>Na</td><td>140</td></tr></table>',
      'Test | Value\nNa | 140',
    ],
    [
      'paragraphs in cells',
      '<table><tr><td><p>Na</p></td><td></td><td><p>140</p></td></tr><tr><td>K</td></tr></table>',
      'Na | | 140\nK',
    ],
    ['cells never closed', '<table><tr><td>Na<td>140<tr><td>K</table>End', 'Na | 140\nK\n\nEnd'],
    ['entities', '&lt;5&nbsp;mg &amp; &#956;g &#x3bc;g &copy; &eacute;', '<5 mg & μg μg &copy; é'],
    ['entities, once', '&amp;lt;b&amp;gt;', '&lt;b&gt;'],
    ['comparisons that are no tags', 'K < 3.5 and Na > 140, a<b', 'K < 3.5 and Na > 140, a<b'],
    [
      'scripts, styles and heads',
      '<head><title>x</title></head><style>p{}</style><script>if (a < b) alert("</p>")</script>Text',
      'Text',
    ],
    ['a head that is never closed', '<head><title>x<body>Text', 'Text'],
    ['comments', 'a<!-- <p>hidden</p> -->b', 'ab'],
    ['what is not displayed', '<p>a</p><div style="color:red; display : none">b<div>c</div>d</div><p>e</p>', 'a\n\ne'],
    ['what is invisible', 'a<span style="visibility:hidden">b</span><i style="font-size:0px">c</i>d', 'ad'],
    ['what is transparent', 'a<b style="opacity: 0.0">b</b><b style="opacity:0.5">c</b>', 'ac'],
    ['what is hidden by its attribute', 'a<p hidden>b</p><p hidden="">c</p><p class="hidden">d</p>', 'a\n\nd'],
    ['on after a hidden element without an end', 'a<br hidden>b<img style="display:none">c', 'a\nbc'],
    ['attributes with marks in them', '<p title="a > b" data-x=\'<\'>Text</p>', 'Text'],
    ['a doctype', '<!DOCTYPE html><p>Text', 'Text'],
    ['plain text', 'Just text', 'Just text'],
    ['nothing', '', ''],
  ])('reads %s', (_name, html, text) => {
    expect(htmlToText(html)).toBe(text);
  });

  test.each([
    ['a tag never closed', '<p attr="'],
    ['a comment never closed', 'Text<!-- x'],
    ['a script never closed', 'Text<script>alert(1)'],
    ['marks only', '<<<>>></></ ><!><?>'],
    ['character references beyond Unicode', '&#1114112;&#xD800;&#0;'],
  ])('bears %s', (_name, html) => {
    expect(typeof htmlToText(html)).toBe('string');
  });

  test('never expands an entity that the document defines', () => {
    expect(htmlToText('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><p>&x;</p>')).toBe('&x;');
  });

  test('takes time in proportion to the document, however it is broken', () => {
    const started = performance.now();
    for (const unit of [
      '<',
      '<!',
      '<!--',
      '<a b="',
      "<a b='",
      '<script>',
      '<td></td>',
      '<p>',
      '&',
      '&#',
      '<![CDATA[',
      '</',
      '<head>',
      ' | ',
      '<!x>',
    ]) {
      htmlToText(unit.repeat(100_000));
    }
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test('bears any text', () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom('<', '>', '/', '!', '-', '"', '=', 'a', ' ', '&', ';', '[', ']', '?', 'script', 'head'),
        }),
        (html) => typeof htmlToText(html) === 'string'
      )
    );
  });
});
