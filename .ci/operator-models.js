// Whether the Prometheus operator takes our monitors and rules: operator-models.js MODULES FILE.json...
// Each file is a list of objects.
'use strict';
const fs = require('fs');
const path = require('path');

const [modules, ...files] = process.argv.slice(2);

function refusal(models, object) {
  try {
    new models[object.kind](object).validate();
    return null;
  } catch (error) {
    return error.message;
  }
}

// Each kind once with a mistake that the operator would refuse: the models must see it.
const mistakes = {
  PodMonitor: (object) => { object.spec.podMetricsEndpoints[0].interval = 'soon'; },
  ServiceMonitor: (object) => { object.spec.endpoints[0].interval = 'soon'; },
  PrometheusRule: (object) => { delete object.spec.groups[0].rules[0].expr; },
};

async function main() {
  const group = path.resolve(modules, '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/index.js');
  const models = await import(group);
  const problems = [];
  const seen = new Set();
  for (const file of files) {
    for (const object of JSON.parse(fs.readFileSync(file, 'utf8'))) {
      const mistake = mistakes[object.kind];
      if (!mistake) continue;
      const why = refusal(models, object);
      if (why) problems.push(`${file}: ${object.kind}: ${why}`);
      const wrong = structuredClone(object);
      mistake(wrong);
      if (!refusal(models, wrong)) problems.push(`${file}: ${object.kind}: the models let a mistake pass`);
      seen.add(object.kind);
    }
  }
  for (const kind of Object.keys(mistakes)) {
    if (!seen.has(kind)) problems.push(`no ${kind} was given`);
  }
  console.log(problems.join('\n') || `the operator would take ${[...seen].join(' and ')}`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

main();
