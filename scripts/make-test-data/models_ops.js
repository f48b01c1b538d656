// Every operator that is imported and that the other lists do not have: functions and places, windows and layers.
'use strict';
module.exports = { ...require('./models_element.js'), ...require('./models_layers.js') };
