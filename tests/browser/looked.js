// What must hold of the status page as it is laid out; run in the page itself. Returns what does not.
'use strict';

module.exports = (name) => {
  const faults = [];
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const expect = (holds, what) => { if (!holds) faults.push(what); };
  const text = document.body.textContent;

  // The node is named in title and header, and one choice of refresh is shown as chosen.
  const node = document.querySelector('.brand bdi').textContent;
  expect(node.length > 0 && document.title.startsWith(`${node}: `), 'the title names no node');
  const chosen = all('.refresh [aria-current]').map((link) => link.textContent);
  expect(chosen.length === 1 && (chosen[0] === 'never') === name.startsWith('still'), `chosen: ${chosen}`);

  // The headline names who will crash, as long as anybody will.
  const criticals = all('.finding.critical h3').map((heading) => heading.textContent);
  const headline = document.querySelector('h1').textContent;
  const crashes = criticals.some((heading) => heading.includes('will-crash'));
  expect(!crashes || /^.+ will crash: \d.* too little(, and \d+ more)?$/.test(headline), `headline: ${headline}`);

  // A finding's sentence stands once.
  for (const sentence of all('.finding > p:nth-of-type(1)').map((p) => p.textContent)) {
    expect(text.split(sentence).length === 2, `not once: ${sentence}`);
  }

  // Each head says what it means, to who points at it and to who reads on.
  for (const head of all('th abbr')) {
    const written = all('.meanings dt').filter((dt) => dt.textContent === head.textContent);
    const means = written.map((dt) => dt.nextElementSibling.textContent);
    expect(means.includes(head.title), `no meaning of ${head.textContent}`);
  }
  expect(all('.tenants, .pools').length === 0 || all('th abbr').length > 0, 'heads say nothing');

  // A legend lists what is drawn, and all of it. The samples are drawn with the looks themselves.
  const looks = (elements) => new Set(elements.map((element) => element.getAttribute('class')));
  for (const section of all('section').filter((section) => section.querySelector('.bar'))) {
    const listed = looks(all('.legend .sample *', section));
    const drawn = looks(all('.bar *', section));
    const unlike = [...listed].filter((look) => !drawn.has(look)).concat([...drawn].filter((look) => !listed.has(look)));
    expect(listed.size === 0 || unlike.length === 0, `legend and bars differ: ${unlike}`);
  }

  // Who stands beside a critical finding or a warning is short, or may be; and none of them is without a warning.
  for (const row of all('.tenants tbody tr:first-child')) {
    const badges = all('.badge', row).map((badge) => badge.textContent);
    const short = row.children[7] && row.children[7].textContent;
    expect(!badges.some((badge) => ['will-crash', 'numa-short'].includes(badge)) || short !== 'no', `short no beside ${badges}`);
  }
  const fine = all('details').find((details) => / without a warning$/.test(details.firstChild.textContent.trim()));
  expect(!fine || all('.badge.critical, .badge.warning', fine).length === 0, 'a warning among those without');

  // Incidents: times, values, numbers; no text upon another or beyond the edge.
  for (const incident of all('.incident')) {
    const events = all('ol > li', incident).length;
    expect(events > 0 && all('.plot', incident).length > 0, 'an incident without a picture or events');
    for (const film of all('.film', incident)) {
      const words = all('text', film);
      const of = (look) => words.filter((word) => word.getAttribute('class') === look).map((word) => word.textContent);
      expect(of('time').length >= 2 && of('time').every((time) => /^\d\d:\d\d:\d\d$/.test(time)), `times: ${of('time')}`);
      expect(of('edge').length > 0 && of('value').length > 0, 'no limit or no value');
      const numbers = of('number').join().match(/\d+/g).map(Number);
      expect(numbers.length > 0 && Math.max(...numbers) <= events, `marks: ${numbers}`);
      const room = film.getBoundingClientRect();
      const boxes = words.map((word) => [word.textContent, word.getBoundingClientRect()]);
      boxes.forEach(([word, box], index) => {
        expect(box.left >= room.left && box.right <= room.right && box.bottom <= room.bottom, `${word} is cut off`);
        for (const [other, its] of boxes.slice(index + 1)) {
          const wide = Math.min(box.right, its.right) - Math.max(box.left, its.left);
          const high = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
          expect(wide <= 1 || high <= 4, `${word} upon ${other}`);
        }
      });
    }
  }
  return faults;
};
