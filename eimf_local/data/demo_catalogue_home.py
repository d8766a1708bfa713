"""The demo shop's catalogue, first half: kitchen to tools. How to read it: :mod:`eimf_local.data.demo_words`."""

CATALOGUE = """
== kitchen | Ovenbird, Marlowe & Rye, Kettlebrook, TavoloPro, Hearthline | Black, Red, Teal, Cream
# cast iron cookware
Cast Iron Skillet | Pre-Seasoned, Heavy Duty | 10.25-Inch, 12-Inch | with Silicone Handle Cover, for Stove and Campfire
Dutch Oven | Enameled, Cast Iron | 5-Quart, 6-Quart | with Lid, with Dual Handles
Cast Iron Griddle | Reversible, Pre-Seasoned | 20 x 10 Inches, 9.5-Inch | for Two Burners
Grill Press | Cast Iron, Heavy Duty | 8-Inch Round, 4.5 x 8.25 Inches | with Wood Handle, for Bacon and Burgers
Cast Iron Wok | Pre-Seasoned, Flat Bottom | 14-Inch, 12-Inch | with Two Loop Handles
Braising Pan | Enameled Cast Iron, Shallow | 3.5-Quart, 12-Inch | with Lid
# coffee brewing at home
Pour Over Coffee Dripper | Ceramic, Glass | Size 02, 1-4 Cups | with Reusable Filter, with 40 Paper Filters
French Press Coffee Maker | Stainless Steel, Double Wall | 34 oz, 8-Cup | with Extra Screens
Burr Coffee Grinder | Hand Crank, Electric | 18 Settings, 12-Cup | for Espresso and Drip Coffee
Gooseneck Kettle | Stainless Steel, Electric | 1 Liter, 40 oz | with Thermometer, for Pour Over Coffee
Coffee Scale | Digital, Slim | 3 kg, 0.1 g | with Timer
Moka Pot | Aluminum, Stovetop | 3-Cup, 6-Cup | for Espresso
# cake and cookie baking
Cookie Cutters | Stainless Steel, Holiday | Set of 12, 5-Piece | with Storage Tin, for Gingerbread
Springform Pan | Nonstick, Leakproof | 9-Inch, Set of 3 | with Removable Bottom
Silicone Baking Mats | Nonstick, Food Grade | 2-Pack, Half Sheet | for Cookies and Macarons
Cake Decorating Tips | Professional, Stainless Steel | 24-Piece, 35-Piece | with Piping Bags
Muffin Pan | Nonstick, Jumbo | 12-Cup, 6-Cup | with Lid, for Cupcakes
Cooling Rack | Stainless Steel, Oven Safe | 10 x 15 Inches, 2-Pack | for Half Sheet Pans
# kitchen knives and sharpening
Chef's Knife | High Carbon, Hand Forged | 8-Inch, 10-Inch | with Blade Guard
Paring Knife | Full Tang, Japanese Steel | 3.5-Inch, 3-Piece | for Fruit and Vegetables
Santoku Knife | Damascus, Hollow Edge | 7-Inch, 5-Inch | with Sheath
Whetstone Knife Sharpener | Double Sided, Waterstone | 1000/6000 Grit, 400/1000 Grit | with Bamboo Base
Magnetic Knife Block | Acacia, Bamboo | 16-Inch, 12-Slot | for Knives and Scissors
Honing Steel | Ceramic, Carbon | 10-Inch, 12-Inch | for Kitchen Knives
== garden | Fernhollow, Greenwick, Mossgate, Sproutwell | Green, Terracotta, Charcoal
# vegetable seeds and seedlings
Heirloom Tomato Seeds | Organic, Non-GMO | 250 Seeds, 6 Varieties | for Raised Beds
Seed Starter Tray | Reusable, Self-Watering | 72 Cells, Pack of 5 | with Humidity Dome
Lettuce Seeds | Organic, Mesclun Mix | 1000 Seeds, 2 g | for Containers and Beds
Hot Pepper Seeds | Non-GMO, Open Pollinated | 8 Varieties, 100 Seeds | for Planting Indoors
Peat Pots | Biodegradable, Round | 3-Inch, Pack of 50 | with Plant Markers, for Seedlings
Seedling Heat Mat | Waterproof, Durable | 10 x 20.75 Inches, 48 x 20 Inches | with Thermostat
# lawn watering and irrigation
Garden Hose | Expandable, Kink-Free | 50 ft, 100 ft | with Brass Fittings
Oscillating Sprinkler | Adjustable, Metal Base | 3,600 sq ft, 18 Nozzles | for Lawns
Drip Irrigation Kit | Adjustable, Complete | 100 ft, 40 Emitters | for Flower Beds and Pots
Hose Nozzle | Heavy Duty, Metal | 8 Patterns, 2-Pack | with Thumb Control
Soaker Hose | Flat, Recycled Rubber | 25 ft, 50 ft | for Garden Rows
Hose Water Timer | Programmable, Digital | 2-Zone, 1 Outlet | with Rain Delay
# wild bird feeding
Bird Feeder | Squirrel-Proof, Cedar | 2 lb, 6 Ports | with Metal Perches, for Cardinals and Finches
Hummingbird Feeder | Hand Blown Glass, Window Mount | 16 oz, 25 oz | with Ant Moat
Suet Cakes | High Energy, No-Melt | Pack of 10, 11.75 oz | for Woodpeckers
Black Oil Sunflower Seed | No-Waste, Premium | 5 lb Bag, 20 lb | for Wild Birds
Bird Bath | Antique Finish, Heated | 20-Inch, 3-Tier | with Ground Stake
Bird Nesting Box | Cedar, Ventilated | 5.5 x 6.5 Inches, 2-Pack | for Bluebirds and Wrens
== pets | Waggly, Pawsome Acre, Tabby & Co, BlueBrook Pets | Blue, Orange, Gray
# dog chews and fetch toys
Dog Chew Toy | Indestructible, Natural Rubber | Large, Medium | for Aggressive Chewers, for Puppies
Squeaky Plush Dog Toy | Tough, No-Stuffing | 13-Inch, 3-Pack | with Crinkle Paper
Dog Tennis Balls | Extra Bouncy, Squeaky | 12-Count, 2.5-Inch | for Ball Launchers
Rope Tug Toy | Cotton, Heavy Duty | 36-Inch, 5 Knots | for Large Dogs
Bully Sticks for Dogs | All Natural, Odor Free | 6-Inch, 12-Count | for Teeth Cleaning
Treat Dispensing Dog Ball | Interactive, Adjustable | 5-Inch, Small | for Slow Feeding
# cat litter and scratching
Cat Litter Box | Hooded, Self-Cleaning | Jumbo, 22-Inch | with Charcoal Filter, with Scoop
Cat Scratching Post | Sisal, Tall | 32-Inch, 24-Inch | with Dangling Ball
Clumping Cat Litter | Dust-Free, Unscented | 40 lb, 14 lb Box | for Multiple Cats
Cat Litter Mat | Honeycomb, Waterproof | 30 x 24 Inches, Large | for Litter Tracking
Cat Tree | Plush, Multi-Level | 62-Inch, 3-Tier | with Hammock and Condo
Cardboard Cat Scratcher | Corrugated, Curved | Pack of 3, 18-Inch | with Catnip
# aquarium and fish care
Aquarium Filter | Quiet, Hang-On | 20 Gallon, 55 Gallon | with Two Cartridges
Aquarium Heater | Submersible, Adjustable | 50 Watt, 100 Watt | with Suction Cups, with Thermometer
Tropical Fish Flakes | Color Enhancing, Balanced | 7.06 oz, 2.2 oz | for Tetras and Guppies
Aquarium Gravel | Natural, Polished | 5 lb Bag, 25 lb | for Freshwater Tanks
LED Aquarium Light | Full Spectrum, Dimmable | 24-Inch, 18 Watt | with Timer, for Live Plants
Aquarium Water Conditioner | Concentrated, Fast Acting | 16.9 oz, 500 ml | for Tap Water
== baby | Littlenest, Bumblekin, Cradleway | Mint, Soft Pink, Ivory
# diapers and baby wipes
Cloth Diapers | Adjustable, Washable | Pack of 6, One Size | with Bamboo Inserts
Baby Wipes | Fragrance Free, Thick | 448-Count, 8 Packs | for Sensitive Skin
Diaper Pail Refill Bags | Lavender Scented, Odor Lock | 3-Pack, 810-Count | for Diaper Pails
Changing Pad Liners | Waterproof, Quilted | 3-Pack, 27 x 13 Inches | for Changing Tables
Diaper Rash Cream | Zinc Oxide, Organic | 4 oz, 2-Pack | for Newborns
Swim Diapers | Reusable, Ruffled | 12 Months, 2T | for Swim Lessons
# baby bottles and nursing
Baby Bottles | Anti-Colic, BPA Free | 9 oz, 3-Pack | for Breastfed Babies
Breast Milk Storage Bags | Double Zipper, Presterilized | 100-Count, 6 oz | for Freezing
Baby Bottle Brush | Silicone, Soft Sponge | 2-Pack, Set of 4 | with Nipple Cleaner
Nursing Pads | Washable, Ultra Thin | 14-Pack, 100-Count | with Laundry Bag
Baby Bottle Warmer | Electric, Fast | 500 Watt, Double | with Auto Shutoff
Bottle Drying Rack | Compact, Countertop | 16 Pegs, 2-Tier | for Bottles and Pump Parts
# teething and baby toys
Teething Rings | Food Grade Silicone, Natural Wood | Set of 4, 3 Months+ | for Sore Gums, with Pacifier Clip
Baby Rattle | Plush, Musical | 6-Inch, 0 Months+ | with Mirror
Baby Stacking Cups | Colorful, Textured | Set of 8, 6 Months+ | for Bath Play
Baby Activity Gym | Foldable, Wooden | 5 Toys, 36-Inch Mat | with Hanging Toys
Soft Crinkle Book | Cloth, Black and White | 3-Pack, 8 Pages | for Newborns
Stroller Toy | Hanging, Musical | 2-Pack, 10-Inch | with Clip
== office | Quillmark, Stafford & Penn, PaperTrail, OfficeLoop, Inkwright | Black, Blue, Assorted Colors
# mechanical pencils and erasers
Mechanical Pencils | Soft Grip, Retractable | 0.7 mm, 12-Pack | with Eraser Refills
Pencil Lead Refills | Break Resistant, HB | 0.5 mm, 12 Tubes | for Mechanical Pencils
Block Erasers | Latex-Free, Dust-Free | 24-Count, Pack of 4 | for Drawing and Exams
Drafting Pencil | Metal Barrel, Knurled Grip | 0.3 mm, 0.5 mm | for Technical Drawing
Clutch Pencil Lead Holder | Aluminum, Hexagonal | 2 mm, 5.6 mm | with Lead Pointer
Click Eraser | Refillable, Pen Style | 3-Pack, 2-Count | with Two Refills
# file folders and binders
Hanging File Folders | Letter Size, Recycled | Box of 25, 1/5-Cut Tab | with Tabs, for Filing Cabinets
Three Ring Binder | Heavy Duty, View | 2-Inch, 4-Pack | with Inside Pockets
Sheet Protectors | Top Load, Heavyweight | 100-Pack, 8.5 x 11 Inches | for Three Ring Binders
Index Dividers | Insertable, Laminated | 8-Tab, 6 Sets | for Binders
Expanding File | Accordion, Letter Size | 13 Pockets, 26 Pockets | for Tax Records, with Elastic Cord
Clipboard | Hardboard, Aluminum | 6-Pack, 9 x 12.5 Inches | with Low Profile Clip
# printer ink and toner
Ink Cartridge | Remanufactured, High Yield | Twin Pack, 4-Pack | for Inkjet Printers, with Chip
Laser Toner Cartridge | High Yield, Compatible | 2,600 Pages, 2-Pack | for Laser Printers
Multipurpose Copy Paper | Bright White, Acid-Free | 500 Sheets, 8.5 x 11 Inches | for Copiers and Printers
Glossy Photo Paper | Quick Dry, Premium | 4 x 6 Inches, 100 Sheets | for Inkjet Printers
Printer Drum Unit | Compatible, Long Life | 12,000 Pages, 1-Pack | for Laser Printers
Address Labels | Permanent, Easy Peel | 1 x 2-5/8 Inches, 3,000 Labels | for Laser and Inkjet Printers
# sticky notes and planners
Sticky Notes | Super Sticky, Lined | 3 x 3 Inches, 12 Pads | with Dispenser
Weekly Planner | Undated, Hardcover | A5, 8 x 10 Inches | with Monthly Tabs, with Ribbon Marker
Desk Calendar Pad | Large, Academic | 22 x 17 Inches, 18 Months | with Corner Protectors
Spiral Notebook | College Ruled, Poly Cover | 5 Subject, 160 Pages | with Pockets
Page Flags | Removable, Neon | 1/2-Inch, 450 Flags | for Textbooks
Dry Erase Whiteboard | Magnetic, Wall Mount | 36 x 24 Inches, 17 x 23 Inches | with Marker Tray
== beauty | Velvetine, Rosalind Grey, Lumiva, PurePetal, Glossary |
# nail art and polish
Nail Polish | Quick Dry, Holographic | 0.5 fl oz, Set of 6 | in Summer Shades
Nail Stamping Plates | Stainless Steel, Floral | 5-Piece, 10-Piece | with Stamper and Scraper
Gel Top Coat | No-Wipe, High Shine | 0.5 oz, 15 ml | for Gel Manicures
Nail Art Brushes | Fine Line, Double Ended | Set of 15, 5-Piece | with Dotting Tools
Cuticle Oil | Vitamin E, Milk and Honey | 0.5 oz, 2-Pack | for Dry Cuticles
UV Nail Lamp | Portable, Professional | 36 Watt, 48 Watt | with Timer, for Gel Polish
# curly hair care
Curl Defining Cream | Shea Butter, Frizz Control | 12 fl oz, 6 oz | for Curly and Wavy Hair
Leave-In Conditioner | Argan Oil, Moisturizing | 8 oz, 16.9 fl oz | for Natural Hair
Curl Shampoo | Sulfate Free, Coconut Milk | 13 oz, 33.8 oz | for Curly Hair
Hair Dryer Diffuser | Universal, Collapsible | 5-Inch, 1.5-Inch Nozzle | for Natural Curls
Wide Tooth Detangling Comb | Wooden, Seamless | 2-Pack, 7-Inch | for Thick Hair
Deep Conditioning Hair Mask | Avocado, Keratin | 8.5 oz, 500 ml | for Damaged Curls
# facial skin care
Vitamin C Serum | Organic, Brightening | 1 fl oz, 2 oz | with Hyaluronic Acid
Facial Cleanser | Gentle, Foaming | 6.7 oz, 12 fl oz | for Acne-Prone Skin
Daily Face Moisturizer | Oil-Free, Hydrating | 50 ml, 4 fl oz | with SPF 30, for Dry Skin
Clay Face Mask | Charcoal, Dead Sea Mud | 8.8 oz, 1 lb | for Pores
Eye Cream | Anti-Aging, Peptide | 0.5 oz, 15 ml | for Dark Circles
Mineral Face Sunscreen | Tinted, Broad Spectrum | SPF 50, 2 oz | for Sensitive Skin
# eye makeup
Eyeshadow Palette | Matte, Shimmer | 12 Shades, 28 Colors | with Brush, for Smoky Eyes
Volumizing Mascara | Waterproof, Blackest Black | 0.34 oz, 10 ml | with Curved Brush
Liquid Eyeliner Pen | Smudge-Proof, Long Lasting | 0.02 oz, 2-Count | with Felt Tip
False Eyelashes | Natural Look, Wispy | 5 Pairs, 10 Pairs | with Lash Glue
Eyebrow Pencil | Retractable, Waterproof | Dark Brown, Taupe | with Spoolie
Eyelash Curler | Heated, Gold Tone | 1-Pack, Travel Size | with Refill Pads
== tools | Ironclad Works, Bolt & Barrow, Torquemaster, Millwright |
# drills and drill bits
Cordless Drill Driver | Brushless, Compact | 20V, 12V | with Battery and Charger
Twist Drill Bit Set | Titanium Coated, Cobalt | 21-Piece, 29-Piece | with Hard Case, for Metal and Wood
Impact Driver | Cordless, Brushless | 20V Max, 1/4-Inch Hex | with Two Batteries
Hole Saw Kit | Bi-Metal, Carbon Steel | 16-Piece, 3/4 to 5 Inches | for Wood and Drywall
Screwdriver Bit Set | Impact Rated, Magnetic | 100-Piece, 40-Piece | with Bit Holder
Step Drill Bit | Titanium, High Speed Steel | 4-12 mm, 3-Piece | for Sheet Metal
# woodworking hand tools
Bar Clamps | Quick Grip, One-Handed | 24-Inch, 4-Pack | for Cabinet Making
Wood Chisel Set | Hardened Steel, Beveled | 4-Piece, 6-Piece | with Leather Roll
Block Plane | Low Angle, Adjustable | 6-Inch, No. 60 | for End Grain
Dovetail Saw | Fine Cut, Brass Back | 10-Inch, 20 TPI | for Joinery
Marking Gauge | Wheel, Brass Inlaid | 8-Inch, 1-Piece | for Mortise and Tenon
Wood Carving Mallet | Beech, Lignum | 18 oz, 3-Inch Head | for Chisels
# plumbing and faucets
Kitchen Faucet | Brushed Nickel, Single Handle | 16-Inch, 1.8 GPM | with Pull-Down Sprayer
Shower Head | High Pressure, Rainfall | 8-Inch, 6 Settings | with Hose
Sink Drain Stopper | Pop-Up, Universal | 1.5-Inch, 2-Pack | for Bathroom Sinks
Pipe Wrench | Heavy Duty, Aluminum | 14-Inch, 18-Inch | for Steel Pipe
Toilet Fill Valve | Adjustable, Quiet | 9 to 14 Inches, Complete Kit | with Flapper
Thread Seal Tape | Leak-Proof, High Density | 1/2-Inch, 5 Rolls | for Plumbers
"""
